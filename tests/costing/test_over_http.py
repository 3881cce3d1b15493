"""Costs and books over the public API, and the worker's task, in a running house."""

from datetime import timedelta

import pytest
from sqlmodel import select

from marketplace.client.problem import ProblemError
from marketplace.costing import routes as costing
from marketplace.costing.service import LEFT_BEHIND, sweep
from marketplace.ledger import queries as ledger_queries
from marketplace.ledger import routes as ledger
from marketplace.ledger.models import LedgerTransaction
from tests.costing.books import meter_asset, meter_event, meter_sale
from tests.participants.small_market import open_market
from workers.tasks.ledger import TASKS


@pytest.fixture
def market(house):
    with open_market(house, [costing.routes, ledger.routes]) as opened:
        yield opened


@pytest.fixture
def events(house):
    """The example asset and one sale, metered by the house's clock and not yet posted."""
    with house.db() as db:
        return [*meter_asset(db), meter_sale(db, 10_000_000)]


def post_everything(house, events):
    for event in events:
        with house.db() as db:
            TASKS["ledger.post"].begin(db, house.runtime, {"event": event})


def test_the_task_run_twice_posts_once(house, events):
    post_everything(house, events + events)
    with house.db() as db:
        assert len(db.exec(select(LedgerTransaction)).all()) == len(events)
        assert ledger_queries.imbalance(db) == 0


def test_the_sweep_leaves_fresh_events_to_the_outbox_and_posts_old_ones_once(house, events):
    assert sweep(house.runtime).posted == 0
    house.clock.advance(LEFT_BEHIND + timedelta(seconds=1))
    with house.db() as db:
        stuck = meter_event(db, "collection.record", key="stuck")
    assert sweep(house.runtime).posted == len(events)
    house.clock.advance(LEFT_BEHIND + timedelta(seconds=1))
    again = sweep(house.runtime)
    assert (again.posted, set(again.stuck)) == (0, {stuck})


def test_the_provider_reads_the_cost_sheet_of_its_asset(house, market, events):
    post_everything(house, events)
    sheet = market.client("hospital").get("/v1/assets/ast_1/costs", {"price": [2_000_000, 5_000_000, 10_000_000]})
    assert sheet["total_fen"] == 11_500_000
    assert sheet["break_even"] == {"2000000": 8, "5000000": 3, "10000000": 2}
    assert sheet["price_for"]["1"] == 12_834_524
    assert sheet["unit_cost_fen"] == 11_500
    assert sheet["complete"] is True
    with_operator = market.client("auditor").get("/v1/assets/ast_1/costs", {"operator_per_mille": 300})
    assert with_operator["break_even"] == {"2000000": 11, "5000000": 4, "10000000": 2}


def test_a_sheet_says_when_events_still_wait(market, events):
    sheet = market.client("hospital").get("/v1/assets/ast_1/costs")
    assert (sheet["complete"], sheet["total_fen"]) == (False, 0)
    assert sheet["pending"]["governance.scan"] == 1


@pytest.mark.parametrize("name", ["pharma", "law_firm", "registrar", "exchange"])
def test_nobody_else_sees_the_cost_sheet_or_learns_that_it_exists(house, market, events, name):
    post_everything(house, events)
    with pytest.raises(ProblemError) as known:
        market.client(name).get("/v1/assets/ast_1/costs")
    with pytest.raises(ProblemError) as unknown:
        market.client(name).get("/v1/assets/ast_9/costs")
    assert known.value.status == unknown.value.status == 404


def test_a_participant_sees_only_its_own_sub_ledger_and_the_auditor_all(house, market, events):
    post_everything(house, events)
    for name in ("hospital", "pharma", "law_firm"):
        own = house.cast[name].id
        assert {one["owner"] for one in market.client(name).get("/v1/ledger/accounts")} == {own}
        page = market.client(name).get("/v1/ledger/transactions")
        assert {line["owner"] for one in page["items"] for line in one["postings"]} == {own}
    assert len(market.client("pharma").get("/v1/ledger/transactions")["items"]) == 1
    assert market.client("insurer").get("/v1/ledger/accounts") == []

    balances = market.client("auditor").get("/v1/ledger/accounts")
    assert {"prt_hospital", "prt_pharma", "prt_law_firm", "prt_exchange"} <= {one["owner"] for one in balances}
    assert sum(one["amount_minor"] for one in balances) == 0


def test_transactions_come_in_pages_without_gap_or_repeat(house, market, events):
    post_everything(house, events)
    seen, after = [], ""
    while after is not None:
        page = market.client("hospital").get("/v1/ledger/transactions", {"limit": 3, "after": after})
        seen += [one["id"] for one in page["items"]]
        after = page["next"]
    assert len(seen) == len(set(seen)) == len(events)
    assert seen == sorted(seen)


def test_anybody_reads_the_tariffs_with_their_sources(market):
    answer = market.http.get(f"{market.url}/v1/tariffs")
    assert answer.status_code == 200
    by_id = {one["id"]: one for one in answer.json()}
    assert by_id["cn-2025-report/governance.scan@2025-01-01"]["range"] == [5000, 6000]
    assert by_id["cn-2026-project/governance.scan@2025-01-01[modality=US]"]["applies_to"] == {"modality": "US"}
    assert all(one["source"] for one in by_id.values())
