"""The books: balanced, append-only, each cause once, corrected by reversal only."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError
from sqlmodel import select

from marketplace.audit.entry import Tag, record
from marketplace.audit.models import Entry
from marketplace.kernel.actor import SERVICE_ACTOR, Actor, Role
from marketplace.kernel.canonical import read_strictly
from marketplace.ledger import queries
from marketplace.ledger.accounts import NoSuchAccount
from marketplace.ledger.rules import (
    Dimensions,
    Draft,
    Line,
    ReversalIsFinal,
    ReversalReason,
    Unbalanced,
    balanced,
    imbalances,
    merged,
    reversal,
)
from marketplace.ledger.service import NotABookkeeper, post, reverse
from tests.costing.books import NOW, open_books

LINES = (
    Line("expense:legal", "prt_a", 500, "CNY"),
    Line("payable", "prt_a", -500, "CNY"),
    Line("receivable", "prt_b", 500, "CNY"),
    Line("revenue:service", "prt_b", -500, "CNY"),
)


@pytest.fixture
def books(tmp_path):
    with open_books(tmp_path) as database:
        yield database


def draft(db, key="k", lines=LINES):
    cause = record(db, SERVICE_ACTOR, Tag.COST_METERED, NOW)
    db.flush()
    dims = Dimensions("ast_1", "ver_1", "assessed", "agr_1")
    return Draft(key, "legal.opinion", NOW, "memo", cause, lines, quantity=1, unit_price_minor=500, dims=dims)


def test_a_transaction_is_kept_with_its_postings_dimensions_and_entry(books):
    with books.transaction() as db:
        kept = post(db, SERVICE_ACTOR, draft(db), NOW)
        rows = queries.postings(db, kept.id)

        assert [(one.account, one.owner, one.amount_minor) for one in rows] == [
            (line.account, line.owner, line.amount_minor) for line in LINES
        ]
        assert {(one.asset, one.version, one.stage, one.agreement) for one in rows} == {
            ("ast_1", "ver_1", "assessed", "agr_1")
        }
        assert db.get_one(Entry, kept.posting_entry_id).asset == "ast_1"
        assert queries.counts(db) == (1, 4)


@pytest.mark.parametrize(
    "lines",
    [
        LINES[:1],
        (LINES[0], Line("payable", "prt_a", -499, "CNY")),
        (LINES[0], Line("payable", "prt_b", -500, "CNY")),
        (LINES[0], Line("payable", "prt_a", -500, "USD")),
    ],
    ids=["one-sided", "one fen off", "in another party's books", "in another currency"],
)
def test_unbalanced_postings_are_refused_and_leave_nothing(books, lines):
    with books.transaction() as db:
        wrong = draft(db, lines=lines)
        with pytest.raises(Unbalanced):
            post(db, SERVICE_ACTOR, wrong, NOW)
        assert queries.counts(db) == (0, 0)
        assert not db.exec(select(Entry).where(Entry.tag == Tag.LEDGER_POSTED)).all()


def test_an_account_outside_the_chart_is_refused(books):
    with books.transaction() as db, pytest.raises(NoSuchAccount):
        post(db, SERVICE_ACTOR, draft(db, lines=(Line("slush", "a", 1, "CNY"), Line("payable", "a", -1, "CNY"))), NOW)


def test_the_same_event_key_returns_the_first_transaction(books):
    with books.transaction() as db:
        first = post(db, SERVICE_ACTOR, draft(db), NOW)
        again = post(db, SERVICE_ACTOR, draft(db), NOW)
        assert again.id == first.id
        assert queries.counts(db) == (1, 4)


def test_a_reversal_returns_every_balance_to_zero_and_names_what_it_takes_back(books):
    with books.transaction() as db:
        first = post(db, SERVICE_ACTOR, draft(db), NOW)
        back = reverse(db, SERVICE_ACTOR, first.id, ReversalReason.WRONG_RATE, NOW)

        assert {one.amount_minor for one in queries.balances(db)} == {0}
        assert (back.reverses, back.quantity, back.entry_id) == (first.id, -1, first.entry_id)
        assert read_strictly(db.get_one(Entry, back.posting_entry_id).body)["facts"]["reverses"] == first.id
        assert queries.asset_quantities(db, "ast_1") == {"legal.opinion": 0}
        assert queries.imbalance(db) == 0


def test_a_transaction_is_reversed_once_and_a_reversal_never(books):
    with books.transaction() as db:
        first = post(db, SERVICE_ACTOR, draft(db), NOW)
        back = reverse(db, SERVICE_ACTOR, first.id, ReversalReason.WRONG_RATE, NOW)
        assert reverse(db, SERVICE_ACTOR, first.id, ReversalReason.METERED_TWICE, NOW).id == back.id
        with pytest.raises(ReversalIsFinal):
            reverse(db, SERVICE_ACTOR, back.id, ReversalReason.WRONG_RATE, NOW)
        with pytest.raises(queries.NoSuchTransaction):
            reverse(db, SERVICE_ACTOR, "ltx_none", ReversalReason.WRONG_RATE, NOW)


@pytest.mark.parametrize("role", list(Role))
def test_only_the_platform_operator_and_the_service_correct_the_books(books, role):
    with books.transaction() as db:
        first = post(db, SERVICE_ACTOR, draft(db), NOW)
        actor = Actor("prt_x", frozenset({role}))
        if role is Role.PLATFORM_OPERATOR:
            assert reverse(db, actor, first.id, ReversalReason.WRONG_RATE, NOW).reverses == first.id
        else:
            with pytest.raises(NotABookkeeper):
                reverse(db, actor, first.id, ReversalReason.WRONG_RATE, NOW)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE posting SET amount_minor = 1",
        "DELETE FROM posting",
        "UPDATE ledger_transaction SET memo = 'x'",
        "DELETE FROM ledger_transaction",
    ],
)
def test_the_database_itself_refuses_to_change_the_books(tmp_path, either_url, statement):
    with open_books(tmp_path, either_url) as books:
        with books.transaction() as db:
            post(db, SERVICE_ACTOR, draft(db), NOW)
        with pytest.raises(DatabaseError, match="append-only"), books.engine.begin() as connection:
            connection.execute(text(statement))
        with books.reading() as db:
            assert queries.counts(db) == (1, 4)


def test_the_imbalance_counts_what_was_forced_in_past_the_rules(books):
    with books.transaction() as db:
        kept = post(db, SERVICE_ACTOR, draft(db), NOW)
        db.connection().execute(
            text(
                "INSERT INTO posting (id, transaction_id, account, owner, amount_minor, currency, period) "
                "VALUES ('pst_x', :transaction, 'payable', 'prt_a', 7, 'CNY', '2026-09')"
            ),
            {"transaction": kept.id},
        )
        assert queries.imbalance(db) == 7


def test_workers_that_post_at_once_share_one_transaction(tmp_path, either_url):
    with open_books(tmp_path, either_url) as books:
        with books.transaction() as db:
            shared = [draft(db, key=f"race:{n}") for n in range(5)]
        posted = [one for worker in at_once(6, post_each, books, shared) for one in worker]

        assert (len(posted), len(set(posted))) == (30, 5)
        with books.transaction() as db:
            assert queries.counts(db) == (5, 20)
            assert keys_posted(db) == [f"race:{n}" for n in range(5)]
            assert queries.imbalance(db) == 0
            assert all(isinstance(one.amount_minor, int) for one in queries.balances(db))


def at_once(count, work, *args):
    """What each of so many threads that begin together returns; what one raises reaches the test."""
    start = threading.Barrier(count)

    def begin(_number):
        start.wait()
        return work(*args)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(begin, range(count)))


def post_each(books, drafts):
    """The transaction that each draft came to, with its key."""
    posted = []
    for one in drafts:
        with books.transaction() as db:
            posted.append((one.event_key, post(db, SERVICE_ACTOR, one, NOW).id))
    return posted


def keys_posted(db):
    entries = db.exec(select(Entry.body).where(Entry.tag == Tag.LEDGER_POSTED)).all()
    return sorted(read_strictly(body)["facts"]["key"] for body in entries)


PAIRS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from(["CNY", "USD"]), st.integers(-(10**15), 10**15)), max_size=8
)


@given(PAIRS)
def test_debit_and_equal_credit_always_balance_and_any_change_does_not(pairs):
    lines = [
        Line(account, owner, sign * amount, currency)
        for owner, currency, amount in pairs
        for account, sign in (("receivable", 1), ("payable", -1))
    ]
    assert balanced(lines)
    assert balanced(merged(lines))
    if lines:
        off = [replace(lines[0], amount_minor=lines[0].amount_minor + 1), *lines[1:]]
        assert imbalances(off) == {(lines[0].owner, lines[0].currency): 1}


@given(PAIRS)
def test_a_reversal_undoes_any_transaction(pairs):
    lines = tuple(Line("payable", owner, amount, currency) for owner, currency, amount in pairs)
    original = Draft("k", "legal.opinion", NOW, "memo", "ent_1", lines, quantity=3)
    back = reversal(original, "ltx_1", ReversalReason.TARIFF_CHANGED)
    assert not imbalances([*lines, *back.lines])
    assert back.quantity == -3
    assert back.event_key != original.event_key
