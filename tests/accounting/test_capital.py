"""An asset in the balance sheet: capitalised to the fen, written off by month or sale, impaired when it is delisted."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import select

from marketplace.accounting import capital, disclosure, queries, rules
from marketplace.accounting.models import Capitalisation
from marketplace.accounting.schemas import CapitalisationIn
from marketplace.assets import queries as assets
from marketplace.assets import service as stages
from marketplace.audit.recheck import sealed_rows
from marketplace.costing.service import post_event, sweep
from marketplace.costing.sheet import Asked, cost_sheet
from marketplace.exchange import queries as exchange
from marketplace.exchange import service as listings
from marketplace.exchange.schemas import ReasonIn
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.ledger import queries as ledger
from marketplace.ledger.auditing import audit
from marketplace.ledger.journal import major
from marketplace.ledger.models import LedgerTransaction
from marketplace.ledger.periods import end_of
from marketplace.ledger.rules import ReversalReason
from marketplace.ledger.service import reverse
from marketplace.planning import director
from marketplace.plumbing import outbox
from tests.costing.books import meter_sale
from tests.exchange.parts import certified, listed
from tests.legal.parts import governed
from workers.relay import run_due
from workers.tasks import REGISTRY

PRICES = (10_000_000,)


def post_everything(house):
    house.clock.advance(timedelta(minutes=10))
    sweep(house.runtime)


@pytest.fixture
def asset(house):
    """A certified asset of the hospital whose stages are in the books."""
    version = certified(house)
    post_everything(house)
    return version.asset_id


def capitalise(house, asset_id, held_for="service", name="hospital", **more):
    with house.db() as db:
        asked = CapitalisationIn.model_validate({"held_for": held_for, **more})
        found = assets.asset(db, asset_id)
        return capital.capitalise(db, house.cast[name].actor, found, asked, house.clock.now())


def held(house, asset_id):
    """The hospital's balances about the asset."""
    with house.runtime.database.reading() as db:
        sums = {}
        for (account, _), minor in ledger.asset_sums(db, asset_id).items():
            sums[account] = sums.get(account, 0) + minor
        return sums


def write_off(house, asset_id):
    with house.db() as db:
        return capital.write_off(db, asset_id, house.clock.now())


def sell(house, asset_id, key):
    with house.db() as db:
        return post_event(db, meter_sale(db, 10_000_000, key=key, asset=asset_id), house.clock.now()).id


def test_the_cost_moves_from_expense_to_the_balance_sheet_and_the_cost_sheet_stays(house, asset):
    with house.db() as db:
        before = cost_sheet(db, asset, Asked(prices=PRICES), house.clock.now())
    row = capitalise(house, asset)
    with house.db() as db:
        after = cost_sheet(db, asset, Asked(prices=PRICES), house.clock.now())
        assert (after.stages, after.total_fen) == (before.stages, before.total_fen)
        assert audit(db).sound
        assert [one for one in sealed_rows(db) if one.table == "capitalisation"] == []
    sums = held(house, asset)
    assert row.cost_minor == sums["asset:data-intangible"] == before.total_fen
    assert {sums[name] for name in ("expense:governance", "expense:legal", "expense:certificate") if name in sums} == {
        0
    }


def test_an_intangible_asset_is_written_off_month_by_month_over_the_shorter_of_life_and_certificate(house, asset):
    row = capitalise(house, asset, useful_life_months=240)
    assert row.parts <= 60  # a certificate lasts five years at most
    house.clock.advance(timedelta(days=92))
    first = write_off(house, asset)
    assert len(first) == 3
    assert write_off(house, asset) == first
    assert held(house, asset)["expense:amortisation"] == row.cost_minor * 3 // row.parts
    house.clock.advance(timedelta(days=31 * row.parts))
    write_off(house, asset)
    sums = held(house, asset)
    assert sums["expense:amortisation"] == row.cost_minor == -sums["asset:data-written-down"]
    with house.db() as db:
        kept = db.exec(select(LedgerTransaction).where(LedgerTransaction.kind == "capital.amortised")).all()
        assert len({one.period for one in kept}) == row.parts
        assert audit(db).sound


def test_inventory_bears_its_cost_by_sale_and_gives_it_back_with_a_sale_taken_back(house, asset):
    row = capitalise(house, asset, "sale", expected_sales=3)
    assert (row.treatment, row.parts) == ("inventory", 3)
    sales = [sell(house, asset, f"s:{n}") for n in range(2)]
    write_off(house, asset)
    write_off(house, asset)
    assert held(house, asset)["expense:cost-of-sales"] == row.cost_minor * 2 // 3
    with house.db() as db:
        reverse(db, SERVICE_ACTOR, sales[0], ReversalReason.CAUSE_CANCELLED, house.clock.now())
    write_off(house, asset)
    assert held(house, asset)["expense:cost-of-sales"] == row.cost_minor // 3
    for number in range(5):
        sell(house, asset, f"more:{number}")
    write_off(house, asset)
    assert held(house, asset)["expense:cost-of-sales"] == row.cost_minor


def test_an_asset_is_capitalised_once_when_certified_and_with_a_cost(house, asset):
    capitalise(house, asset)
    with pytest.raises(rules.AlreadyCapitalised):
        capitalise(house, asset, "sale")
    uncertified = governed(house)
    post_everything(house)
    with pytest.raises(rules.NotCertified):
        capitalise(house, uncertified.asset_id)


def test_the_schedule_asks_once_a_day_and_workers_write_off(house, asset):
    row = capitalise(house, asset, useful_life_months=10)
    house.clock.advance(timedelta(days=31))
    for _ in range(2):
        capital.ask_for_write_offs(house.runtime)
    with house.db() as db:
        asked = select(outbox.OutboxRow).where(outbox.OutboxRow.task == capital.WRITE_OFF_TASK)
        assert len(db.exec(asked).all()) == 1
    run_due(house.runtime)
    assert held(house, asset)["expense:amortisation"] == row.cost_minor // 10
    assert {capital.WRITE_OFF_TASK, capital.IMPAIR_TASK} <= set(REGISTRY)


def test_a_month_is_written_off_when_it_is_over_in_china_though_its_day_was_asked_for_in_utc(house, asset):
    row = capitalise(house, asset, useful_life_months=10)
    for moment, written in ((15, 0), (17, row.cost_minor // 10)):  # 23:00 and 01:00 in China
        house.clock.advance(datetime(2026, 9, 30, moment, tzinfo=UTC) - house.clock.now())
        capital.ask_for_write_offs(house.runtime)
        run_due(house.runtime)
        assert held(house, asset).get("expense:amortisation", 0) == written
    with house.db() as db:
        found = select(LedgerTransaction).where(LedgerTransaction.kind == "capital.amortised")
        assert [one.period for one in db.exec(found)] == ["2026-09"]


def test_the_last_listing_withdrawn_impairs_what_is_left_for_good(house):
    listing = listed(house)
    post_everything(house)
    row = capitalise(house, listing.asset_id, useful_life_months=10)
    house.clock.advance(timedelta(days=31))
    with house.db() as db:
        why = ReasonIn(reason="no_longer_offered", note="")
        listings.withdraw(db, house.cast["hospital"].actor, exchange.listing(db, listing.id), why, house.clock.now())
    run_due(house.runtime)
    with house.db() as db:
        capital.impair(db, listing.asset_id, house.clock.now())
    sums = held(house, listing.asset_id)
    assert sums["expense:amortisation"] == row.cost_minor // 10
    assert sums["expense:impairment"] == row.cost_minor - row.cost_minor // 10
    assert sums["asset:data-intangible"] + sums["asset:data-written-down"] == 0
    house.clock.advance(timedelta(days=62))
    assert write_off(house, listing.asset_id) == []
    with house.db() as db:
        assert db.get_one(Capitalisation, listing.asset_id).ended_at is not None
        assert audit(db).sound


def test_an_asset_whose_certified_versions_are_all_retired_is_impaired_by_the_schedule(house):
    version = certified(house)
    post_everything(house)
    row = capitalise(house, version.asset_id, useful_life_months=10)
    with house.db() as db:
        assert queries.retired(db) == set()
        found = assets.version(db, version.id)
        stages.retire(db, house.cast["hospital"].actor, found, "quality_defect", house.clock.now())
    house.clock.advance(timedelta(days=31))
    capital.ask_for_write_offs(house.runtime)
    while run_due(house.runtime):
        pass
    sums = held(house, version.asset_id)
    assert sums["expense:impairment"] == row.cost_minor - row.cost_minor // 10
    assert sums["asset:data-intangible"] + sums["asset:data-written-down"] == 0
    with house.runtime.database.reading() as db:
        (line,) = director.page(db, "prt_hospital", house.clock.now()).assets
        assert (line.carried_fen, line.sheet.total_fen) == (0, row.cost_minor)
        assert queries.carried(db) == []


def test_what_is_not_capitalised_is_not_impaired(house):
    listing = listed(house)
    with house.db() as db:
        why = ReasonIn(reason="no_longer_offered", note="")
        listings.withdraw(db, house.cast["hospital"].actor, exchange.listing(db, listing.id), why, house.clock.now())
        asked = select(outbox.OutboxRow).where(outbox.OutboxRow.task == capital.IMPAIR_TASK)
        assert not db.exec(asked).all()
        assert capital.impair(db, listing.asset_id, house.clock.now()) is None


def test_the_disclosure_ties_to_the_books_and_says_which_months_are_not_signed(house, asset):
    row = capitalise(house, asset, useful_life_months=10)
    house.clock.advance(timedelta(days=62))
    write_off(house, asset)
    with house.db() as db:
        now = house.clock.now()
        found = disclosure.sheet(db, house.cast["hospital"].actor, "2026-09", "2026-12", now)
        later = disclosure.sheet(db, house.cast["hospital"].actor, "2026-10", "2026-12", now)
        assert disclosure.sheet(db, house.cast["pharma"].actor, "2026-09", "2026-12", now).lines == []
    [line], [total] = found.lines, found.sums
    spread = row.cost_minor * 2 // 10
    assert (line.treatment, line.origin, line.months_left) == ("intangible", "self_developed", 8)
    assert line.cost == total.cost == disclosure.Movement(0, row.cost_minor, 0)
    assert line.amortised == disclosure.Movement(0, spread, 0)
    assert line.impaired == disclosure.Movement()
    assert line.carrying == total.carrying == disclosure.Movement(0, row.cost_minor, spread)
    sums = held(house, asset)
    assert line.carrying.closing_minor == sums["asset:data-intangible"] + sums["asset:data-written-down"]
    assert later.lines[0].carrying.opening_minor == row.cost_minor - row.cost_minor // 10
    assert later.lines[0].amortised.opening_minor == row.cost_minor // 10
    assert found.unsigned_months == ["2026-09", "2026-10", "2026-11"]
    table = list(csv.DictReader(io.StringIO(disclosure.as_csv(found))))
    assert [one["asset"] for one in table] == [asset, ""]
    assert table[0]["carrying_closing"] == major(line.carrying.closing_minor)
    assert table[0]["months_left"] == "8"


def test_inventory_in_the_disclosure_goes_with_its_sales_and_comes_back_with_one_taken_back(house, asset):
    row = capitalise(house, asset, "sale", expected_sales=4)
    sales = [sell(house, asset, f"s:{n}") for n in range(3)]
    write_off(house, asset)
    house.clock.advance(timedelta(days=31))
    with house.db() as db:
        reverse(db, SERVICE_ACTOR, sales[0], ReversalReason.CAUSE_CANCELLED, house.clock.now())
    write_off(house, asset)
    with house.db() as db:
        now, hospital = house.clock.now(), house.cast["hospital"].actor
        [line] = disclosure.sheet(db, hospital, "2026-10", "2026-10", now).lines
        [whole] = disclosure.sheet(db, hospital, "2026-09", "2026-10", now).lines
        assert disclosure.sheet(db, hospital, "2026-07", "2026-08", now).lines == []
    sold, back = row.cost_minor * 3 // 4, row.cost_minor * 2 // 4 - row.cost_minor * 3 // 4
    assert line.cost == line.carrying == disclosure.Movement(row.cost_minor - sold, 0, back)
    assert (line.months_left, line.amortised) == (None, disclosure.Movement())
    assert whole.carrying.closing_minor == line.carrying.closing_minor == row.cost_minor - row.cost_minor * 2 // 4
    table = list(csv.DictReader(io.StringIO(disclosure.as_csv(disclosure.Sheet("", "", [line], [], [])))))
    assert table[0]["cost_decrease"] == major(back)
    assert back < 0


def test_what_is_impaired_at_delisting_stands_apart_from_what_was_amortised(house):
    listing = listed(house)
    post_everything(house)
    row = capitalise(house, listing.asset_id, useful_life_months=10)
    house.clock.advance(timedelta(days=31))
    with house.db() as db:
        capital.impair(db, listing.asset_id, house.clock.now())
        [line] = disclosure.sheet(db, house.cast["hospital"].actor, "2026-09", "2026-10", house.clock.now()).lines
    spread = row.cost_minor // 10
    assert line.cost.closing_minor == row.cost_minor
    assert line.amortised.closing_minor == spread
    assert line.impaired == disclosure.Movement(0, row.cost_minor - spread, 0)
    assert (line.carrying.closing_minor, line.months_left) == (0, 0)


def test_what_is_impaired_in_the_first_moment_of_a_month_has_its_life_left_at_the_end_of_the_month_before(house, asset):
    row = capitalise(house, asset, useful_life_months=10)
    house.clock.advance(end_of("2026-09") - house.clock.now())
    with house.db() as db:
        capital.impair(db, asset, house.clock.now())
        hospital, now = house.cast["hospital"].actor, house.clock.now()
        before, after = (disclosure.sheet(db, hospital, one, one, now).lines[0] for one in ("2026-09", "2026-10"))
    left = row.cost_minor - row.cost_minor // 10
    assert (before.carrying.closing_minor, before.months_left) == (left, 9)
    assert (after.carrying.closing_minor, after.months_left) == (0, 0)


@given(st.integers(0, 10**12), st.integers(1, 300))
def test_the_parts_of_a_cost_sum_to_it_and_differ_by_a_fen_at_most(cost, parts):
    amounts = [rules.written_off(cost, parts, n + 1) - rules.written_off(cost, parts, n) for n in range(parts)]
    assert sum(amounts) == cost
    assert max(amounts) - min(amounts) <= 1
    assert rules.written_off(cost, parts, parts + 5) == cost
