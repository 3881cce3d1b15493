"""Running balances are the sums of the postings, and posting many at once is posting each."""

import threading
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import select

from marketplace.audit.entry import Tag, record
from marketplace.audit.models import Entry
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.kernel.canonical import read_strictly
from marketplace.ledger import balances, queries
from marketplace.ledger.auditing import audit
from marketplace.ledger.models import LedgerTransaction, Posting
from marketplace.ledger.rules import Dimensions, Draft, Line, ReversalReason, Unbalanced
from marketplace.ledger.service import post, post_all, reverse
from tests.costing.books import NOW, open_books

DRAFTS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from(["prt_a", "prt_b"]),
        st.sampled_from([("expense:legal", "payable"), ("receivable", "revenue:service")]),
        st.integers(1, 10**12),
        st.sampled_from(["CNY", "USD"]),
        st.sampled_from([None, "ast_1", "ast_2"]),
        st.integers(0, 70),
    ),
    max_size=12,
)


@pytest.fixture
def books(tmp_path, either_url):
    with open_books(tmp_path, either_url) as database:
        yield database


def drafts(db, rows):
    cause = record(db, SERVICE_ACTOR, Tag.COST_METERED, NOW)
    for key, owner, (debit, credit), amount, currency, asset, days in rows:
        lines = (Line(debit, owner, amount, currency), Line(credit, owner, -amount, currency))
        stage = "assessed" if asset == "ast_1" else None
        at = NOW + timedelta(days=days)
        yield Draft(f"k:{key}", "legal.opinion", at, "memo", cause, lines, dims=Dimensions(asset, None, stage))


def summed(db):
    """What the balances should be, from the postings alone."""
    sums = Counter()
    for one in db.exec(select(Posting)):
        sums[one.owner, one.account, one.currency] += one.amount_minor
    return dict(sums)


def held(db):
    return {(one.owner, one.account, one.currency): one.amount_minor for one in queries.balances(db)}


def told(db):
    """What the log tells of the postings, without ids and moments."""
    bodies = db.exec(select(Entry.body).where(Entry.tag == Tag.LEDGER_POSTED).order_by(Entry.id)).all()
    own = ("transaction", "cause")
    return [{name: value for name, value in read_strictly(body)["facts"].items() if name not in own} for body in bodies]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=DRAFTS, cut=st.integers(0, 12))
def test_posting_many_at_once_gives_the_same_books_as_posting_each(tmp_path_factory, rows, cut):
    folder = tmp_path_factory.mktemp("books")
    (folder / "one").mkdir()
    with open_books(folder / "one") as one, open_books(folder) as many:
        with one.transaction() as db:
            for draft in drafts(db, rows):
                post(db, SERVICE_ACTOR, draft, NOW)
        with many.transaction() as db:
            made = list(drafts(db, rows))
            for part in (made[:cut], made[cut:]):
                ids = post_all(db, SERVICE_ACTOR, part, NOW)
                assert [queries.transaction(db, name).event_key for name in ids] == [x.event_key for x in part]
        with one.reading() as first, many.reading() as second:
            assert queries.counts(first) == queries.counts(second)
            assert queries.balances(first) == queries.balances(second)
            assert told(first) == told(second)
            assert held(second) == summed(second)
            assert audit(first).sound
            assert audit(second).sound


def test_a_reversal_turns_the_balances_back_but_shows_in_the_turnover(books):
    with books.transaction() as db:
        [draft] = drafts(db, [(1, "prt_a", ("expense:legal", "payable"), 500, "CNY", "ast_1", 0)])
        first = post(db, SERVICE_ACTOR, draft, NOW)
        reverse(db, SERVICE_ACTOR, first.id, ReversalReason.WRONG_RATE, NOW)
        [legal] = [one for one in balances.trial_balance(db, first.period) if one.account == "expense:legal"]
        assert (legal.opening_minor, legal.debit_minor, legal.credit_minor, legal.closing_minor) == (0, 500, 500, 0)
        assert queries.asset_sums(db, "ast_1") == {("expense:legal", "assessed"): 0, ("payable", "assessed"): 0}
        assert not list(balances.recheck(db))


def test_one_unbalanced_draft_keeps_the_whole_batch_out(books):
    with books.transaction() as db:
        rows = [(n, "prt_a", ("expense:legal", "payable"), 500, "CNY", None, 0) for n in range(3)]
        good = list(drafts(db, rows))
        wrong = replace(good[1], lines=good[1].lines[:1])
        with pytest.raises(Unbalanced):
            post_all(db, SERVICE_ACTOR, [good[0], wrong, good[2]], NOW)
        assert queries.counts(db) == (0, 0)
        assert queries.balances(db) == []


def test_a_draft_whose_cause_is_not_in_the_log_keeps_the_whole_batch_out(books):
    rows = [(n, "prt_a", ("expense:legal", "payable"), 500, "CNY", None, 0) for n in range(3)]
    with books.session(write=True) as db:
        good = list(drafts(db, rows))
        with pytest.raises(IntegrityError):
            post_all(db, SERVICE_ACTOR, [*good[:2], replace(good[2], entry_id="ent_of_nothing")], NOW)
    with books.reading() as db:
        assert queries.counts(db) == (0, 0)
        assert queries.balances(db) == told(db) == []


def test_a_batch_is_posted_beside_others_by_a_savepoint_and_without_its_memory_where_the_writer_is_alone(books):
    said = []
    event.listen(books.engine, "savepoint", lambda _connection, name: said.append(name))
    with books.transaction() as db:
        rows = [(n, "prt_a", ("expense:legal", "payable"), 500, "CNY", None, 0) for n in range(3)]
        post_all(db, SERVICE_ACTOR, list(drafts(db, rows)), NOW)
    assert len(said) == (0 if books.is_sqlite else 1)


def test_what_is_rolled_back_leaves_no_balance(books):
    with books.session(write=True) as db:
        post_all(db, SERVICE_ACTOR, list(drafts(db, [(1, "prt_a", ("receivable", "payable"), 5, "CNY", None, 0)])), NOW)
        # The process dies here: no commit.
    with books.transaction() as db:
        assert queries.balances(db) == []


def test_batches_that_overlap_at_once_post_each_cause_once(books):
    rows = [(n, "prt_a", ("expense:legal", "payable"), 100 + n, "CNY", "ast_1", 0) for n in range(40)]
    with books.transaction() as db:
        shared = list(drafts(db, rows))
    seen, errors, start = [], [], threading.Barrier(4)

    def work(offset):
        start.wait()
        try:
            for first in (offset, offset + 10, offset + 20):
                part = shared[first % 40 : first % 40 + 20]
                with books.transaction() as db:
                    seen.extend(zip((x.event_key for x in part), post_all(db, SERVICE_ACTOR, part, NOW), strict=True))
        except Exception as error:  # noqa: BLE001  a thread's error must reach the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n * 10,)) for n in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert not errors
    assert len(set(seen)) == 40
    with books.transaction() as db:
        assert queries.counts(db) == (40, 80)
        assert held(db) == summed(db)
        assert audit(db).sound


def test_reading_balances_reads_no_posting(books):
    with books.transaction() as db:
        rows = [(n, "prt_a", ("expense:legal", "payable"), 7, "CNY", "ast_1", 0) for n in range(300)]
        post_all(db, SERVICE_ACTOR, list(drafts(db, rows)), NOW)
    statements = []
    event.listen(books.engine, "before_cursor_execute", lambda *told: statements.append(told[2]))
    with books.reading() as db:
        assert held(db)["prt_a", "expense:legal", "CNY"] == 2100
        assert queries.asset_sums(db, "ast_1")["expense:legal", "assessed"] == 2100
        assert len(balances.trial_balance(db, "2026-09")) == 2
    assert statements
    assert not [one for one in statements if "posting" in one]
    with books.reading() as db:
        assert db.connection().execute(text("SELECT count(*) FROM account_balance")).scalar_one() == 2


def test_the_periods_of_a_transaction_and_its_postings_are_one(books):
    with books.transaction() as db:
        rows = [(n, "prt_a", ("expense:legal", "payable"), 7, "CNY", None, 40 * n) for n in range(3)]
        post_all(db, SERVICE_ACTOR, list(drafts(db, rows)), NOW)
        periods = db.exec(select(LedgerTransaction.period).order_by(LedgerTransaction.id)).all()
        assert periods == ["2026-09", "2026-10", "2026-11"]
        assert {one.period for one in db.exec(select(Posting))} == set(periods)
