"""Months of the books: closed in order under the operator's signature, reopened the same way, never changed between."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlmodel import col, select

from marketplace.accounting import closing
from marketplace.accounting.recheck import recheck
from marketplace.accounting.schemas import PeriodClosingIn, PeriodReopeningIn
from marketplace.audit.entry import Tag
from marketplace.audit.models import Entry
from marketplace.client.problem import ProblemError
from marketplace.costing.service import post_event
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.kernel.canonical import canonical, read_strictly
from marketplace.kernel.errors import Forbidden
from marketplace.kernel.signing import BadSignature
from marketplace.kernel.transitions import NotYourStep
from marketplace.ledger import balances, queries, service
from marketplace.ledger.auditing import audit
from marketplace.ledger.models import LedgerTransaction
from marketplace.ledger.periods import (
    BooksMoved,
    NotTheNextPeriod,
    PeriodNotOver,
    PeriodState,
    ReopeningReason,
    booking_period,
    end_of,
    following,
    month_of,
    reopening_document,
    trial_balance_hash,
)
from marketplace.ledger.rules import ReversalReason
from marketplace.main import ROUTERS
from tests.costing.books import NOW, meter_asset, meter_event, meter_sale, post_all
from tests.participants.small_market import open_market

SEPTEMBER, OCTOBER, NOVEMBER = "2026-09", "2026-10", "2026-11"


@pytest.fixture
def house(house):
    """A house whose books hold a September, now in October."""
    with house.db() as db:
        post_all(db, [*meter_asset(db), meter_sale(db, 10_000_000)])
    house.clock.advance(timedelta(days=35))
    return house


def to_sign(house, period=SEPTEMBER):
    with house.runtime.database.reading() as db:
        return closing.document_to_sign(db, house.cast["operator"].actor, period, house.clock.now())


def signed(house, content, kind, form, name="operator"):
    jws = house.cast[name].key.sign_detached(canonical(content), typ=f"{kind}+jws")
    return form.model_validate({"document": content, "jws": jws})


def close(house, period=SEPTEMBER, name="operator", content=None):
    content = content or to_sign(house, period)
    asked = signed(house, content, "period-close", PeriodClosingIn, name)
    with house.db() as db:
        return closing.close(db, house.cast[name].actor, period, asked, house.clock.now())


def reopen(house, period=SEPTEMBER, name="operator", of=None):
    with house.runtime.database.reading() as db:
        held = queries.period(db, period)
    content = reopening_document(period, of or (held.document if held else "0" * 64), ReopeningReason.AUDIT_ADJUSTMENT)
    asked = signed(house, content, "period-reopening", PeriodReopeningIn, name)
    with house.db() as db:
        return closing.reopen(db, house.cast[name].actor, period, asked, house.clock.now())


def late_cost(house, key):
    """A cost of September that is metered in September and posted now."""
    with house.db() as db:
        event = meter_event(db, "legal.opinion", key=key, now=NOW, payee="prt_law_firm")
        return post_event(db, event, house.clock.now())


def test_a_closed_month_tells_its_books_and_who_signed_them(house):
    content = to_sign(house)
    row = close(house)
    with house.db() as db:
        assert (row.state, row.by) == (PeriodState.CLOSED, house.cast["operator"].id)
        assert (content["transactions"], content["postings"]) == queries.counts(db)
        rows = balances.trial_balance(db, SEPTEMBER)
        assert content["trial_balance"] == trial_balance_hash(rows)
        assert content["turnover"] == [{"currency": "CNY", "minor": str(sum(one.debit_minor for one in rows))}]
        assert sum(one.debit_minor for one in rows) == sum(one.credit_minor for one in rows)
        told = read_strictly(db.get_one(Entry, row.entry_id).body)
        assert (told["tag"], told["facts"]["document"]) == (Tag.PERIOD_CLOSED, row.document)
        assert not list(recheck(db))
        assert audit(db).sound


def test_a_late_cost_counts_in_the_open_month_with_the_true_date_of_its_event(house):
    close(house)
    late = late_cost(house, "late")
    assert (late.period, month_of(late.at)) == (OCTOBER, SEPTEMBER)
    with house.db() as db:
        assert not list(recheck(db))
        assert audit(db).sound
        rows = {one.account: one for one in balances.trial_balance(db, OCTOBER, owner="prt_law_firm")}
        assert rows["receivable"].opening_minor == rows["receivable"].debit_minor == 5_500_000


def test_a_correction_of_a_closed_month_is_a_reversal_in_the_open_one(house):
    close(house)
    with house.db() as db:
        first = db.exec(select(LedgerTransaction).where(col(LedgerTransaction.kind) == "sale.access")).one()
        back = service.reverse(db, SERVICE_ACTOR, first.id, ReversalReason.WRONG_RATE, house.clock.now())
        assert (first.period, back.period) == (SEPTEMBER, OCTOBER)
        assert not list(recheck(db))


def test_closing_twice_with_the_same_document_changes_nothing(house):
    content = to_sign(house)
    first = close(house)
    house.clock.advance(timedelta(hours=1))
    again = close(house, content=content)
    assert (again.at, again.entry_id) == (first.at, first.entry_id)


def test_a_month_is_closed_after_its_end_and_after_the_months_before_it(house):
    late_cost(house, "in-september")
    with house.db() as db:
        post_event(db, meter_event(db, "legal.opinion", key="october", now=house.clock.now()), house.clock.now())
    with pytest.raises(PeriodNotOver):
        to_sign(house, OCTOBER)
    house.clock.advance(timedelta(days=31))
    with pytest.raises(NotTheNextPeriod):
        to_sign(house, OCTOBER)
    first = close(house)
    assert to_sign(house, OCTOBER)["previous"] == first.document
    close(house, OCTOBER)
    with pytest.raises(NotTheNextPeriod):
        to_sign(house, SEPTEMBER)


def test_a_document_of_books_that_moved_does_not_close(house):
    content = to_sign(house)
    late_cost(house, "meanwhile")
    with pytest.raises(BooksMoved):
        close(house, content=content)
    close(house)


@pytest.mark.parametrize("name", ["hospital", "exchange", "auditor"])
def test_nobody_but_the_platform_operator_closes_or_reopens(house, name):
    content = to_sign(house)
    with pytest.raises(NotYourStep):
        close(house, name=name, content=content)
    close(house)
    with pytest.raises(NotYourStep):
        reopen(house, name=name)


def test_a_signature_by_another_key_or_over_another_kind_does_not_close(house):
    content = to_sign(house)
    forged = PeriodClosingIn.model_validate(
        {"document": content, "jws": house.cast["operator"].key.sign_detached(canonical(content), typ="opinion+jws")}
    )
    stranger = signed(house, content, "period-close", PeriodClosingIn, "hospital")
    for asked, error in ((forged, BadSignature), (stranger, Forbidden)):
        with pytest.raises(error), house.db() as db:
            closing.close(db, house.cast["operator"].actor, SEPTEMBER, asked, house.clock.now())
    with house.db() as db:
        assert queries.closed_through(db) is None


def test_a_reopened_month_takes_its_events_again_and_is_closed_by_another_document(house):
    first = close(house).document
    reopen(house)
    assert late_cost(house, "after-reopening").period == SEPTEMBER
    second = close(house).document
    assert first != second
    with house.db() as db:
        steps = select(Entry.tag).where(col(Entry.tag).startswith("ledger:period")).order_by(col(Entry.id))
        assert db.exec(steps).all() == [Tag.PERIOD_CLOSED, Tag.PERIOD_REOPENED, Tag.PERIOD_CLOSED]
        assert not list(recheck(db))


def test_only_the_last_closed_month_is_reopened_and_only_the_closing_it_has(house):
    with house.db() as db:
        post_event(db, meter_event(db, "legal.opinion", key="october", now=house.clock.now()), house.clock.now())
    house.clock.advance(timedelta(days=31))
    close(house)
    close(house, OCTOBER)
    with pytest.raises(NotTheNextPeriod):
        reopen(house, SEPTEMBER)
    with pytest.raises(BooksMoved):
        reopen(house, OCTOBER, of="ab" * 32)
    assert reopen(house, OCTOBER).state == PeriodState.OPEN


def test_a_posting_forced_into_a_closed_month_is_found(house):
    close(house)
    with house.arrange() as db:
        kept = db.exec(select(LedgerTransaction.id)).first()
        for number, amount in enumerate((7, -7)):
            db.connection().execute(
                text(
                    "INSERT INTO posting (id, transaction_id, account, owner, amount_minor, currency, period) "
                    f"VALUES ('pst_{number}', '{kept}', 'payable', 'prt_hospital', {amount}, 'CNY', '2026-09')"
                )
            )
    with house.db() as db:
        assert {one.table for one in recheck(db)} == {"ledger_period"}
        assert not audit(db).sound


def test_periods_are_closed_and_read_over_http(house):
    with open_market(house, ROUTERS) as market:
        operator, hospital = market.client("operator"), market.client("hospital")
        path = f"/v1/ledger/periods/{SEPTEMBER}"
        content = operator.get(f"{path}/closing")
        jws = house.cast["operator"].key.sign_detached(canonical(content), typ="period-close+jws")
        answer = operator.post(f"{path}/closing", {"document": content, "jws": jws})
        assert hospital.get("/v1/ledger/periods") == [answer]
        own = hospital.get(f"{path}/trial-balance")
        assert {one["owner"] for one in own} == {house.cast["hospital"].id}
        assert len(market.client("auditor").get(f"{path}/trial-balance")) > len(own)
        with pytest.raises(ProblemError) as refused:
            hospital.get(f"{path}/closing")
        assert refused.value.status == 403
        with pytest.raises(ProblemError) as odd:
            hospital.get("/v1/ledger/periods/2026-13/trial-balance")
        assert odd.value.status == 422


def test_months_are_those_of_china_and_follow_each_other():
    assert month_of(end_of(SEPTEMBER)) == OCTOBER
    assert month_of(end_of(SEPTEMBER) - timedelta(microseconds=1)) == SEPTEMBER
    assert [following(one) for one in (SEPTEMBER, "2026-12")] == [OCTOBER, "2027-01"]
    assert booking_period(NOW, None) == booking_period(NOW, "2026-08") == SEPTEMBER
    assert booking_period(NOW, SEPTEMBER) == OCTOBER
    assert booking_period(NOW, OCTOBER) == NOVEMBER
