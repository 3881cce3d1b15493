"""The board of scenarios and the matching of demands to listings, over published demands and real listings."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from marketplace.exchange import queries as exchange
from marketplace.exchange.demands import publish_demand
from marketplace.exchange.models import Demand
from marketplace.exchange.schemas import DemandIn
from marketplace.exchange.terms import permitted_purposes
from marketplace.planning import board, matching, queries
from marketplace.planning.queries import NoSuchDemand
from tests.exchange.parts import PRICE_FEN, listed, suspend_certificate, terms_of
from tests.house import House


def wanted(house: House, purpose: str, who: str = "pharma", **asked: Any) -> Demand:
    form = DemandIn(title="an example of a demand", purpose=purpose, **asked)
    with house.db() as db:
        return publish_demand(db, house.cast[who].actor, form, house.clock.now())


def rows(house: House) -> dict[str, board.Row]:
    with house.runtime.database.reading() as db:
        return {one.code: one for one in board.board(db, house.clock.now())}


def matches(house: House, asked: Demand, *, foreign: bool = False) -> list[matching.Match]:
    with house.runtime.database.reading() as db:
        page = exchange.visible(db, house.clock.now())
        return matching.ordered([matching.match(asked, one, foreign_controlled=foreign) for one in page.rows])


def failed(found: matching.Match) -> set[str]:
    return {one.name for one in found.filters if not one.passed}


def test_the_board_has_the_thirteen_scenarios_and_calls_mentions_a_third_partys(house: House) -> None:
    found = rows(house)
    assert len(found) == 13
    told = board.mentions()
    assert (told.third_party, told.total, found["medical_service"].mentions) == (True, 814, 430)
    assert {code for code, one in found.items() if one.named_as_thin} == set(told.named_as_thin) <= set(found)
    assert all(one.mentions is None for code, one in found.items() if code != "medical_service")
    assert set(told.mentions) <= set(found)


def test_a_demand_without_a_listing_is_a_gap_in_every_scenario_of_its_purpose(house: House) -> None:
    wanted(house, "actuarial_pricing")
    wanted(house, "actuarial_pricing")
    wanted(house, "actuarial_pricing", "insurer")
    found = rows(house)
    fitting = {code for code, one in found.items() if "actuarial_pricing" in one.purposes}
    assert {code for code, one in found.items() if one.gap} == fitting == {"medical_insurance"}
    row = found["medical_insurance"]
    assert (row.demands, row.buyers, row.listings, row.gap) == (3, 2, 0, 3)
    assert next(iter(found)) == "medical_insurance"


def test_the_board_reads_as_many_rows_however_many_demands_there_are(house: House) -> None:
    def fetched() -> int:
        """Rows that the driver handed over for the demands of a board."""
        with house.runtime.database.reading() as db:
            scenarios = {code: one["purposes"] for code, one in board.SCENARIOS.items()}
            counted = queries.demands_for(db, scenarios)
            assert not [one for one in db.identity_map.values() if isinstance(one, Demand)]
            return len(counted)

    wanted(house, "actuarial_pricing")
    first = fetched()
    for number in range(5):
        wanted(house, "actuarial_pricing", "insurer" if number % 2 else "pharma")
    assert fetched() == first == 13
    assert (rows(house)["medical_insurance"].demands, rows(house)["medical_insurance"].buyers) == (6, 2)
    with house.runtime.database.reading() as db:
        asked = "SELECT count(DISTINCT buyer_id) FROM demand WHERE purpose IN ('a', 'b')"
        plan = db.execute(text(f"EXPLAIN QUERY PLAN {asked}")).all()
    assert "COVERING INDEX ix_demand_purpose_buyer_id" in str(plan)


def test_a_listing_fills_the_scenarios_that_it_permits_until_its_certificate_is_suspended(house: House) -> None:
    listing = listed(house)
    with house.runtime.database.reading() as db:
        permitted = permitted_purposes(exchange.offer(db, listing.offer_id).uses)
    found = rows(house)
    supplied = {code for code, one in found.items() if one.listings}
    assert supplied == {code for code, one in found.items() if permitted & set(one.purposes)}
    assert {one.listings for one in found.values()} <= {0, 1}
    suspend_certificate(house, listing.version_id)
    assert not any(one.listings for one in rows(house).values())


def test_a_demand_that_a_listing_meets_fits_and_each_other_wish_says_why_it_does_not(house: House) -> None:
    listing = listed(house)
    with house.runtime.database.reading() as db:
        row = exchange.visible_listing(db, listing.id, house.clock.now())
        permitted = sorted(permitted_purposes(row.offer.uses))
    modality = row.asset.modality
    fitting = {"modality": modality.lower(), "body_part": row.asset.body_part.upper(), "budget_fen": PRICE_FEN}
    (met,) = matches(house, wanted(house, permitted[0], **fitting))
    assert (met.listing, met.fits, failed(met)) == (listing.id, True, set())

    other = {"modality": "XX", "body_part": "NOWHERE", "budget_fen": PRICE_FEN - 1}
    (missed,) = matches(house, wanted(house, "actuarial_pricing", **other))
    assert "actuarial_pricing" not in permitted
    assert (missed.fits, failed(missed)) == (False, {"purpose", "modality", "body_part", "budget"})
    assert all(one.words["en"] and one.words["zh"] for one in missed.filters)
    assert f"asked: XX; there: {modality}" in {one.words["en"] for one in missed.filters}
    (budget,) = (one.words for one in missed.filters if one.name == "budget")
    assert budget["en"] == "asked: CNY 49,999.99; there: CNY 50,000.00"
    assert budget["zh"] == "需求：49,999.99 元；现有：50,000.00 元"


def test_a_budget_is_told_what_uses_cost_beside_access(house: House) -> None:
    listed(house, **terms_of("per-case/v1") | {"price_plan": {"kind": "per_use", "price_fen": 90_000}})
    (found,) = matches(house, wanted(house, "scientific_research", budget_fen=100))
    (budget,) = (one for one in found.filters if one.name == "budget")
    assert budget.passed  # access costs nothing
    assert "there: CNY 0.00. " in budget.words["en"]
    assert "each use costs RMB 900.00" in budget.words["en"]
    assert "900.00 元" in budget.words["zh"]


def test_what_a_demand_leaves_open_is_no_filter(house: House) -> None:
    listed(house)
    (found,) = matches(house, wanted(house, "scientific_research"))
    assert [one.name for one in found.filters] == ["purpose"]


def test_data_without_genomic_fields_passes_the_gate_of_a_foreign_controlled_buyer(house: House) -> None:
    listed(house)
    (found,) = matches(house, wanted(house, "scientific_research"), foreign=True)
    assert {one.name: one.passed for one in found.filters}["genomic"] is True


def test_an_unknown_demand_is_not_found(house: House) -> None:
    with house.runtime.database.reading() as db, pytest.raises(NoSuchDemand):
        queries.demand(db, "dem_none")
