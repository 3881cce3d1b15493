"""Plans over the public API: the page and the outlook as JSON, each for those who may read them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from marketplace.client.problem import ProblemError
from marketplace.exchange.demands import publish_demand
from marketplace.exchange.schemas import DemandIn
from marketplace.planning import routes as planning
from tests.costing.books import meter_asset, meter_sale, post_all
from tests.exchange.parts import PARAMETERS, listed
from tests.house import House
from tests.participants.small_market import open_market
from tests.settlement.parts import sold

OUTLOOK = {"price_low": 10_000_000, "price_high": 10_000_000, "sales_low": 1, "sales_high": 1, "operator_high": 0}


@pytest.fixture
def market(house: House) -> Iterator[Any]:
    with open_market(house, [planning.routes]) as opened:
        yield opened


def test_the_director_reads_the_page_and_the_auditor_reads_the_same(house: House, market: Any) -> None:
    agreement = sold(house, uses=1)
    own = market.client("hospital").get("/v1/director")
    assert own["provider"] == house.cast["hospital"].id
    assert [one["agreement"] for one in own["stop"]["ended"]] == [agreement]
    assert own["total_fen"] == sum(one["sheet"]["total_fen"] for one in own["assets"]) > 0
    assert own["stop"]["cost_fen"] == sum(own["stop"][name] for name in ("refund_fen", "lost_fen", "impairment_fen"))
    audited = market.client("auditor").get("/v1/director", {"provider": house.cast["hospital"].id})
    assert {**audited, "at": ""} == {**own, "at": ""}


@pytest.mark.parametrize("name", ["pharma", "exchange", "law_firm"])
def test_nobody_else_reads_the_page(house: House, market: Any, name: str) -> None:
    for asked in ({}, {"provider": house.cast["hospital"].id}):
        with pytest.raises(ProblemError) as refused:
            market.client(name).get("/v1/director", asked)
        assert refused.value.status == 403


def test_the_outlook_of_the_example_asset_is_that_of_the_worked_table(house: House, market: Any) -> None:
    with house.db() as db:
        events = [*meter_asset(db), meter_sale(db, 10_000_000)]
    with house.db() as db:
        post_all(db, events, house.clock.now())
    asked = {**OUTLOOK, "cost_spread": 0, "seed": 5, "runs": 10}
    found = market.client("hospital").get("/v1/assets/ast_1/simulation", asked)
    assert {round(found[one] / 100) for one in ("worst", "middle", "best", "mean")} == {-25_840}
    assert found == market.client("auditor").get("/v1/assets/ast_1/simulation", asked)
    with pytest.raises(ProblemError) as unknown:
        market.client("pharma").get("/v1/assets/ast_1/simulation", asked)
    assert unknown.value.status == 404


def test_a_range_the_wrong_way_round_is_told(house: House, market: Any) -> None:
    with house.db() as db:
        meter_asset(db)
    with pytest.raises(ProblemError) as refused:
        market.client("hospital").get("/v1/assets/ast_1/simulation", {**OUTLOOK, "price_low": 10_000_001})
    assert refused.value.status == 422


def test_board_and_matches_are_read_by_every_member(house: House, market: Any) -> None:
    listing = listed(house)
    asked = DemandIn(title="an example of a demand", purpose=PARAMETERS["purposes"][0], modality="XX")
    with house.db() as db:
        demand = publish_demand(db, house.cast["pharma"].actor, asked, house.clock.now()).id
    for name in ("pharma", "hospital", "auditor"):
        found = market.client(name).get("/v1/demand-board")
        assert (len(found["rows"]), found["mentions_of"]["third_party"]) == (13, True)
        assert {one["demands"] for one in found["rows"] if asked.purpose in one["purposes"]} == {1}
        (match,) = market.client(name).get(f"/v1/demands/{demand}/matches")["items"]
        assert (match["listing"], match["fits"]) == (listing.id, False)
        assert {one["name"]: one["passed"] for one in match["filters"]} == {"purpose": True, "modality": False}
    with pytest.raises(ProblemError) as unknown:
        market.client("pharma").get("/v1/demands/dem_none/matches")
    assert unknown.value.status == 404
