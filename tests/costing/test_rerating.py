"""A tariff published for days that are over: corrected by reversal and new posting, as often as asked, and back."""

from dataclasses import astuple
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import select

from marketplace.costing import queries, rerating
from marketplace.costing.models import MeterEvent
from marketplace.costing.recheck import recheck
from marketplace.costing.rerating import rerate
from marketplace.costing.service import post_event, post_events
from marketplace.costing.tariffs import TariffBook
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.ledger import queries as ledger
from marketplace.ledger.auditing import audit
from marketplace.ledger.models import LedgerTransaction
from marketplace.ledger.rules import ReversalReason
from marketplace.ledger.service import reverse
from marketplace.plumbing import outbox
from tests.costing.books import NOW, meter_event, meter_sale, open_books
from tests.costing.test_tariffs import sheet
from workers.tasks.ledger import TASKS

TAXES = [
    {"kind": "tax.vat", "measure": "per_mille_of_net", "value": 60, "valid_from": "2025-01-01"},
    {"kind": "tax.surcharge", "measure": "per_mille_of_vat", "value": 120, "valid_from": "2025-01-01"},
    {"kind": "exchange.supplier_fee", "measure": "per_mille_of_price", "value": 25, "valid_from": "2025-01-01"},
]
SCAN = {"kind": "governance.scan", "value": 5500, "valid_from": "2025-01-01"}
LATER = NOW + timedelta(days=3)


def book(*corrections, scan=SCAN):
    """The tariffs as first published, and corrections that take their place on days that are over."""
    first = sheet(scan, *TAXES)
    return TariffBook([first, *(sheet(one, name=f"correction-{n}") for n, one in enumerate(corrections))])


def corrected(value, **more):
    return SCAN | {"value": value, "supersedes": "test/governance.scan@2025-01-01"} | more


@pytest.fixture
def books(tmp_path):
    with open_books(tmp_path) as database:
        yield database


def post(db, quantities):
    events = [queries.event(db, meter_event(db, "governance.scan", n, key=f"g:{i}")) for i, n in enumerate(quantities)]
    assert not post_events(db, events, NOW, book=book()).stuck
    return events


def balances(db):
    return {astuple(one) for one in ledger.balances(db) if one.amount_minor}


def test_a_corrected_tariff_takes_the_posting_back_and_posts_the_right_one(books):
    with books.transaction() as db:
        events = post(db, [100])
        [new] = rerate(db, events, LATER, book=book(corrected(6000)))

        assert (new.unit_price_minor, new.at, new.posted_at) == (6000, NOW, LATER)
        assert new.tariff == "correction-0/governance.scan@2025-01-01"
        first, back, last = db.exec(select(LedgerTransaction).order_by(LedgerTransaction.id)).all()
        assert (back.reverses, back.memo) == (first.id, f"reversal of {first.id}: {ReversalReason.TARIFF_CHANGED}")
        assert last.id == new.id
        assert {one.account: one.amount_minor for one in ledger.balances(db, owner="prt_hospital")} == {
            "expense:governance": 600_000,
            "payable": -600_000,
        }
        assert ledger.asset_quantities(db, "ast_1") == {"governance.scan": 100}
        assert audit(db).sound
        assert not list(recheck(db))


def test_rating_again_at_the_same_tariffs_writes_nothing(books):
    with books.transaction() as db:
        events = post(db, [100, 3])
        rerate(db, events, LATER, book=book(corrected(6000)))
        before = ledger.counts(db)
        assert rerate(db, events, LATER, book=book(corrected(6000))) == []
        assert ledger.counts(db) == before


def test_only_the_days_and_attributes_of_the_correction_are_touched(books):
    with books.transaction() as db:
        event = queries.event(db, meter_event(db, "governance.scan", 1, key="ct", attributes={"modality": "CT"}))
        other = queries.event(db, meter_event(db, "governance.scan", 1, key="us", attributes={"modality": "US"}))
        post_events(db, [event, other], NOW, book=book())
        over = corrected(1, valid_until="2026-01-01")
        assert rerate(db, [event, other], LATER, book=book(over)) == []
        ultrasound = corrected(11_000, applies_to={"modality": "US"})
        assert [one.meter_event for one in rerate(db, [event, other], LATER, book=book(ultrasound))] == [other.id]


def test_a_corrected_tax_is_posted_anew_for_an_agreed_price(books):
    with books.transaction() as db:
        event = queries.event(db, meter_sale(db, 10_000_000))
        post_event(db, event.id, NOW, book=book())
        vat = TAXES[0] | {"value": 30, "supersedes": "test/tax.vat@2025-01-01"}
        [new] = rerate(db, [event], LATER, book=book(vat))
        assert new.unit_price_minor == 10_000_000
        hospital = {one.account: one.amount_minor for one in ledger.balances(db, owner="prt_hospital")}
        assert hospital["tax:vat"] == -291_262
        assert hospital["receivable"] == 10_000_000


def test_what_waits_or_was_cancelled_is_left_alone(books):
    with books.transaction() as db:
        cancelled, waiting = post(db, [100])[0], meter_event(db, "governance.scan", 1, key="waits")
        standing, _ = ledger.standing(db, [cancelled.id])[cancelled.id]
        reverse(db, SERVICE_ACTOR, standing.id, ReversalReason.CAUSE_CANCELLED, NOW)
        assert rerate(db, [cancelled, queries.event(db, waiting)], LATER, book=book(corrected(1))) == []
        assert balances(db) == set()
        assert not list(recheck(db))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    quantities=st.lists(st.integers(0, 1000), min_size=1, max_size=4),
    values=st.lists(st.integers(0, 20_000), min_size=1, max_size=4),
)
def test_after_any_changes_the_first_tariffs_bring_the_first_balances_back(tmp_path_factory, quantities, values):
    with open_books(tmp_path_factory.mktemp("books")) as database, database.transaction() as db:
        events = post(db, quantities)
        first = balances(db)
        for value in values:
            rerate(db, events, LATER, book=book(corrected(value)))
            paid = {one.account: one.amount_minor for one in ledger.balances(db, owner="prt_hospital")}
            assert paid.get("expense:governance", 0) == value * sum(quantities)
            assert ledger.imbalance(db) == 0
        rerate(db, events, LATER, book=book())
        assert balances(db) == first
        assert audit(db).sound
        assert not list(recheck(db))


def test_a_new_revision_is_asked_for_once_and_corrects_every_page(house, monkeypatch):
    with house.db() as db:
        post(db, [10] * 7)
    later = book(corrected(6000))
    monkeypatch.setattr(rerating, "tariff_book", lambda: later)
    monkeypatch.setattr(rerating, "PAGE", 3)
    for _ in range(2):
        rerating.ask_for_rerating(house.runtime)
    with house.db() as db:
        [row] = db.exec(select(outbox.OutboxRow).where(outbox.OutboxRow.task == rerating.RERATE_TASK)).all()
    for _ in range(2):
        TASKS[row.task](house.runtime, row.args)
    with house.db() as db:
        assert ledger.counts(db)[0] == 21
        assert {one.amount_minor for one in ledger.balances(db, owner="prt_hospital")} == {420_000, -420_000}
        assert len(db.exec(select(MeterEvent)).all()) == 7


def test_tariffs_that_supersede_nothing_ask_for_no_work(house, monkeypatch):
    monkeypatch.setattr(rerating, "tariff_book", book)
    rerating.ask_for_rerating(house.runtime)
    with house.db() as db:
        assert not db.exec(select(outbox.OutboxRow)).all()
