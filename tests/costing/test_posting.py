"""From metered event to the books: exactly once, at the tariff of its time, whatever crashes."""

import threading
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import select

from marketplace.audit.entry import Tag
from marketplace.audit.models import Entry
from marketplace.costing import queries
from marketplace.costing.models import MeterEvent
from marketplace.costing.rating import rate
from marketplace.costing.service import BadMeasure, meter, post_event, post_pending
from marketplace.costing.tariffs import TariffBook, tariff_book
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.kernel.canonical import read_strictly
from marketplace.ledger import queries as ledger
from marketplace.ledger.accounts import NoPostingRule, posting_rules
from marketplace.ledger.rules import PartyMissing, balanced
from marketplace.plumbing import outbox
from tests.costing.books import NOW, meter_asset, meter_event, meter_sale, open_books, post_all
from tests.costing.test_tariffs import sheet


@pytest.fixture
def books(tmp_path, either_url):
    with open_books(tmp_path, either_url) as database:
        yield database


def by_account(db, owner):
    return {one.account: one.amount_minor for one in ledger.balances(db, owner=owner)}


def test_a_sale_splits_in_the_books_to_the_fen_for_every_party(books):
    with books.transaction() as db:
        post_event(db, meter_sale(db, 10_000_000), NOW)

        assert by_account(db, "prt_hospital") == {
            "receivable": 10_000_000,
            "revenue:access": -9_433_962,
            "tax:vat": -566_038,
            "expense:surcharge": 67_925,
            "tax:surcharge": -67_925,
            "expense:exchange-fee": 250_000,
            "payable": -250_000,
        }
        assert by_account(db, "prt_pharma") == {"expense:data-access": 10_000_000, "payable": -10_000_000}
        assert by_account(db, "prt_exchange") == {"receivable": 250_000, "revenue:exchange-fee": -250_000}
        assert ledger.imbalance(db) == 0


def test_stage_costs_are_rated_by_the_tariffs_and_earned_by_their_payees(books):
    with books.transaction() as db:
        transactions = post_all(db, meter_asset(db))

        assert [one.stage for one in transactions] == ["governed", "assessed", "certified"]
        assert transactions[0].tariff == "cn-2025-report/governance.scan@2025-01-01"
        assert by_account(db, "prt_hospital") == {
            "expense:governance": 5_500_000,
            "expense:legal": 5_500_000,
            "expense:certificate": 500_000,
            "payable": -11_500_000,
        }
        assert by_account(db, "prt_law_firm") == {"receivable": 5_500_000, "revenue:service": -5_500_000}


def test_a_transaction_points_to_the_entry_of_its_cause_and_has_one_of_its_own(books):
    with books.transaction() as db:
        event = queries.event(db, meter_sale(db, 10_000_000))
        transaction = post_event(db, event.id, NOW)

        cause, own = db.get_one(Entry, transaction.entry_id), db.get_one(Entry, transaction.posting_entry_id)
        assert (cause.tag, own.tag) == (Tag.COST_METERED, Tag.LEDGER_POSTED)
        facts = read_strictly(own.body)["facts"]
        assert facts["cause"] == event.entry_id
        lines = [(one["account"], one["owner"], int(one["amount_minor"])) for one in facts["postings"]]
        posted = [(one.account, one.owner, one.amount_minor) for one in ledger.postings(db, transaction.id)]
        assert lines == posted


def test_posting_an_event_again_returns_the_first_transaction_and_writes_nothing(books):
    with books.transaction() as db:
        event = meter_sale(db, 10_000_000)
        first = post_event(db, event, NOW)
    with books.transaction() as db:
        before = ledger.counts(db), len(db.exec(select(Entry.id)).all())
        assert post_event(db, event, NOW + timedelta(days=1)).id == first.id
        assert (ledger.counts(db), len(db.exec(select(Entry.id)).all())) == before


def test_metering_the_same_cause_twice_makes_one_event(books):
    with books.transaction() as db:
        assert meter_sale(db, 10_000_000) == meter_sale(db, 10_000_000)
        assert len(db.exec(select(MeterEvent)).all()) == 1
        assert len(db.exec(select(outbox.OutboxRow)).all()) == 1


def test_many_threads_posting_the_same_events_post_each_once(books):
    with books.transaction() as db:
        events = [meter_sale(db, 1_000_000 + n, key=f"s:{n}") for n in range(6)]
    seen, errors = [], []
    start = threading.Barrier(6)

    def work():
        start.wait()
        try:
            for event in events:
                with books.transaction() as db:
                    seen.append((event, post_event(db, event, NOW).id))
        except Exception as error:  # noqa: BLE001  a thread's error must reach the test
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert not errors
    assert len(seen) == 36
    assert len(set(seen)) == 6
    with books.transaction() as db:
        assert ledger.counts(db)[0] == 6
        assert ledger.imbalance(db) == 0
        assert len(db.exec(select(Entry).where(Entry.tag == Tag.LEDGER_POSTED)).all()) == 6


def test_a_crash_while_posting_leaves_nothing_and_the_next_attempt_posts_once(books):
    with books.transaction() as db:
        event = meter_sale(db, 10_000_000)
    with books.session(write=True) as db:
        post_event(db, event, NOW)
        # The process dies here: no commit.
    with books.transaction() as db:
        assert ledger.counts(db) == (0, 0)
        row = outbox.lease(db, outbox.due_rows(db, NOW, limit=10)[0], NOW)
        assert row is not None
        assert (row.task, row.args) == ("ledger.post", {"event": event})
        # The worker that held this lease died: the row is due again once the lease is over.
    later = NOW + outbox.LEASE + timedelta(seconds=1)
    with books.transaction() as db:
        [again] = outbox.due_rows(db, later, limit=10)
        assert outbox.lease(db, again, later) is not None
        post_event(db, event, later)
    with books.transaction() as db:
        assert post_pending(db, later).posted == 0
        assert ledger.counts(db)[0] == 1


def test_a_sweep_posts_what_was_left_behind_and_reports_what_cannot_be(books):
    with books.transaction() as db:
        stuck = meter_event(db, "collection.record", 5, key="no-tariff")
        left = [meter_sale(db, 1_000_000, key=f"s:{n}") for n in range(3)]
    with books.transaction() as db:
        first = post_pending(db, NOW, limit=2)
        assert (first.posted, set(first.stuck), first.last) == (1, {stuck}, left[0])
        assert "tariff" in first.stuck[stuck]
        rest = post_pending(db, NOW, after=first.last)
        assert (rest.posted, rest.last) == (2, left[2])
        assert post_pending(db, NOW, after=rest.last).last is None
        assert [one.id for one in queries.pending(db)] == [stuck]


def test_a_late_event_is_rated_at_the_tariff_of_the_time_it_happened(books):
    book = TariffBook(
        [
            sheet({"kind": "governance.scan", "value": 5000, "valid_from": "2025-01-01", "valid_until": "2026-06-01"}),
            sheet({"kind": "governance.scan", "value": 6000, "valid_from": "2026-06-01"}, name="later"),
        ]
    )
    happened = NOW - timedelta(days=200)
    with books.transaction() as db:
        event = meter_event(db, "governance.scan", 10, key="late", now=happened)
        transaction = post_event(db, event, NOW, book=book)
        assert (transaction.at, transaction.posted_at) == (happened, NOW)
        assert (transaction.unit_price_minor, transaction.tariff) == (5000, "test/governance.scan@2025-01-01")


def test_a_use_without_a_price_is_settled_without_postings(books):
    with books.transaction() as db:
        event = meter_event(
            db, "use.transfer", key="u", payer="prt_pharma", payee="prt_hospital", unit_price_fen=0, agreement="agr_1"
        )
        post_event(db, event, NOW)
        assert ledger.counts(db) == (1, 0)
        assert not queries.pending(db)


def test_what_cannot_be_posted_is_refused_when_it_is_metered(books):
    with books.transaction() as db:
        with pytest.raises(NoPostingRule):
            meter_event(db, "coffee.cup", key="x")
        with pytest.raises(BadMeasure):
            meter_event(db, "governance.scan", -1, key="x")
        with pytest.raises(BadMeasure):
            meter_event(db, "sale.access", key="x", unit_price_fen=-1)
        with pytest.raises(queries.NoSuchEvent):
            post_event(db, "mtr_none", NOW)


def test_a_sale_without_a_seller_is_not_posted(books):
    with books.transaction() as db:
        event = meter_event(db, "sale.access", key="x", payer="prt_pharma", unit_price_fen=100)
        with pytest.raises(PartyMissing):
            post_event(db, event, NOW)


@given(
    kind=st.sampled_from([rule.kind for rule in posting_rules().rules]),
    quantity=st.integers(0, 10**5),
    price=st.integers(0, 10**10),
    venue=st.sampled_from([None, "prt_exchange"]),
    payer=st.sampled_from(["prt_a", "prt_b"]),
)
def test_every_rated_event_balances_for_every_party(kind, quantity, price, venue, payer):
    event = MeterEvent(
        id="mtr_1",
        event_key="k",
        kind=kind,
        quantity=quantity,
        unit_price_fen=price,
        asset_id="ast_1",
        payer_id=payer,
        payee_id="prt_b",
        venue_id=venue,
        at=NOW,
        entry_id="ent_1",
    )
    draft = rate(event, posting_rules().rule(kind), tariff_book())
    assert balanced(draft.lines)
    assert sum(line.amount_minor for line in draft.lines) == 0
    assert all(line.amount_minor for line in draft.lines)
    charged = [one for one in draft.lines if one.owner == payer and one.account.startswith("expense:")]
    if payer != "prt_b" and kind != "escrow.deposit":  # held for the payer, not spent
        assert sum(one.amount_minor for one in charged) == quantity * price


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(prices=st.lists(st.integers(1, 10**9), min_size=1, max_size=5))
def test_the_books_balance_after_any_sequence_of_sales(tmp_path_factory, prices):
    with open_books(tmp_path_factory.mktemp("books")) as database, database.transaction() as db:
        events = [meter_sale(db, price, key=f"s:{n}") for n, price in enumerate(prices)]
        post_all(db, events + events)
        assert ledger.counts(db)[0] == len(prices)
        assert ledger.imbalance(db) == 0
        assert by_account(db, "prt_pharma")["expense:data-access"] == sum(prices)


def test_a_naive_moment_never_reaches_the_books(books):
    with pytest.raises(ValueError, match="naive"), books.transaction() as db:
        meter(db, SERVICE_ACTOR, "governance.scan", 1, datetime(2026, 1, 1), key="n", asset="a", payer="p")  # noqa: DTZ001
