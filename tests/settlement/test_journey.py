"""Sale, use, invoice, payment, shares, credit note: the books balance at every step; an unpaid invoice stops uses."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketplace.audit.entry import Tag
from marketplace.commands.recheck import recheck
from marketplace.kernel.transitions import NotYourStep, WrongState
from marketplace.negotiation import queries as negotiation
from marketplace.settlement import chasing, queries
from marketplace.settlement.choosing import NotTheTreasury
from marketplace.settlement.crediting import NothingToCredit
from marketplace.settlement.paying import WrongAmount
from marketplace.settlement.waterfall import schemes
from tests.exchange.parts import listed
from tests.house import House
from tests.negotiation.parts import finalized
from tests.settlement import parts
from tests.settlement.parts import (
    FEE_FEN,
    PRICE_FEN,
    USE_FEN,
    all_shares,
    balance,
    billed,
    billed_twice,
    choose,
    credit,
    imbalance,
    lines,
    pay,
    post,
    shares,
    sold,
    transactions,
    use,
)
from tests.transfer.doors import entries


def state(house: House, agreement: str) -> tuple[str, str]:
    with house.db() as db:
        found = negotiation.agreement(db, agreement)
        return found.state, found.reason


def findings(house: House) -> list[str]:
    with house.runtime.database.reading() as db:
        return [f"{one.table} {one.kind} {one.detail}" for one in recheck(db)]


def chase(house: House, invoice: str) -> None:
    with house.db() as db:
        chasing.chase(db, invoice, house.clock.now())


def test_from_sale_to_credit_note_the_books_balance(house: House) -> None:
    pharma, hospital, venue = (house.cast[name].id for name in ("pharma", "hospital", "exchange"))
    choose(house, "report-example-v1", operator=house.cast["operator"].id)
    sold(house, uses=1)
    arranged = findings(house)  # what the tests' own parts put there past the log
    owed = PRICE_FEN + USE_FEN + FEE_FEN
    assert balance(house, pharma, "payable") == -owed
    invoice = billed(house)

    pay(house, invoice)
    assert balance(house, pharma, "payable") == 0
    assert balance(house, pharma, "asset:cash") == -owed
    assert balance(house, venue, "clearing") == 0
    # The exchange keeps its two fees and nothing else.
    kept = FEE_FEN + (PRICE_FEN + USE_FEN) * 25 // 1000
    assert balance(house, venue, "asset:cash") == kept
    assert balance(house, venue, "receivable") == 0
    assert balance(house, hospital, "receivable") == 0
    passed_on = (
        balance(house, f"{hospital}:department", "asset:cash"),
        balance(house, house.cast["operator"].id, "asset:cash"),
    )
    assert balance(house, hospital, "asset:cash") + sum(passed_on) == PRICE_FEN + USE_FEN - (kept - FEE_FEN)
    for line in lines(house, invoice):
        if line.kind != queries.BUYER_FEE:
            assert sum(shares(house, line).values()) == line.price_fen
    assert imbalance(house) == 0

    (use_line,) = [one for one in lines(house, invoice) if one.kind == "use.transfer"]
    note = credit(house, invoice, [use_line.position])
    assert (note.number, note.total_fen, note.credits) == ("CN-2026-000001", USE_FEN, invoice.id)
    assert balance(house, pharma, "asset:cash") + balance(house, pharma, "asset:refund-due") == -(PRICE_FEN + FEE_FEN)
    assert balance(house, pharma, "expense:data-access") == PRICE_FEN
    assert balance(house, venue, "clearing") == 0
    assert shares(house, use_line) == {}
    assert imbalance(house) == 0
    assert findings(house) == arranged


def test_a_credit_note_for_what_was_not_paid_only_takes_the_charge_back(house: House) -> None:
    pharma = house.cast["pharma"].id
    sold(house, uses=1)
    invoice = billed(house)
    credit(house, invoice)
    with house.db() as db:
        assert queries.invoice(db, invoice.id).state == "credited"
    for account in ("payable", "asset:cash", "expense:data-access"):
        assert balance(house, pharma, account) == 0
    with pytest.raises(NothingToCredit):
        credit(house, invoice)
    with pytest.raises(WrongState):
        pay(house, invoice)


def test_after_a_partial_credit_the_rest_is_paid(house: House) -> None:
    sold(house, uses=2)
    invoice = billed(house)
    credit(house, invoice, [1])
    assert pay(house, invoice).state == "paid"
    assert imbalance(house) == 0


def test_a_payment_is_taken_once(house: House) -> None:
    sold(house)
    invoice = billed(house)
    with pytest.raises(WrongAmount):
        pay(house, invoice, amount=0)
    pay(house, invoice)
    before = transactions(house), len(all_shares(house))
    pay(house, invoice)
    assert (transactions(house), len(all_shares(house))) == before
    with pytest.raises(WrongState):
        pay(house, invoice, "bank-2")


def test_only_the_exchange_says_that_it_was_paid(house: House) -> None:
    from marketplace.settlement import paying

    sold(house)
    invoice = billed(house)
    with house.db() as db:
        found = queries.invoice(db, invoice.id)
        with pytest.raises(NotYourStep):
            paying.pay(db, house.cast["pharma"].actor, found, "bank-1", found.total_fen, house.clock.now())


def test_an_unpaid_invoice_stops_uses_after_its_grace_and_payment_lets_them_go_on(house: House) -> None:
    agreement = sold(house)
    invoice = billed(house)
    chase(house, invoice.id)
    assert state(house, agreement) == ("finalized", "")
    house.clock.advance(timedelta(days=30))
    for _ in range(2):
        chase(house, invoice.id)
    assert len(entries(house, Tag.INVOICE_OVERDUE)) == 1
    assert state(house, agreement) == ("finalized", "")
    house.clock.advance(timedelta(days=14))
    for _ in range(2):
        chase(house, invoice.id)
    assert state(house, agreement) == ("suspended", "invoice_overdue")
    assert len(entries(house, Tag.AGREEMENT_SUSPENDED)) == 1
    pay(house, invoice)
    assert state(house, agreement) == ("finalized", "")


def test_a_second_unpaid_invoice_keeps_the_agreement_held(house: House) -> None:
    agreement, first, second = billed_twice(house)
    house.clock.advance(timedelta(days=44))
    for one in (first, second):
        chase(house, one.id)
    pay(house, first)
    assert state(house, agreement)[0] == "suspended"
    credit(house, second)
    assert state(house, agreement)[0] == "finalized"


def test_a_credit_note_for_one_agreements_lines_lets_that_agreement_go_on(house: House) -> None:
    listing = listed(house)
    first, second = (finalized(house, listing=listing).id for _ in range(2))
    post(house)
    invoice = billed(house)
    house.clock.advance(timedelta(days=44))
    chase(house, invoice.id)
    credit(house, invoice, [one.position for one in lines(house, invoice) if one.agreement_id == second])
    assert state(house, first) == ("suspended", "invoice_overdue")
    assert state(house, second) == ("finalized", "")
    with house.db() as db:
        assert queries.invoice(db, invoice.id).state == "overdue"


def test_the_cost_of_the_asset_is_repaid_first_and_never_twice(house: House) -> None:
    choose(house, "full-waterfall-v1")
    agreement = sold(house)
    invoice = billed(house)
    (line,) = [one for one in lines(house, invoice) if one.kind == "sale.access"]
    assert line.asset_id is not None
    with house.db() as db:
        cost = queries.unrecovered(db, line.asset_id)
    assert cost > 0
    pay(house, invoice)
    repaid = shares(house, line)["cost_recovery"]
    with house.db() as db:
        assert queries.unrecovered(db, line.asset_id) == cost - repaid
    use(house, agreement, 1)
    post(house)
    second = billed(house)
    pay(house, second, "bank-2")
    (next_line,) = lines(house, second)
    later = shares(house, next_line)
    shared = sum(amount for role, amount in later.items() if role not in {"tax", "exchange_fee", "service_fee"})
    assert later.get("cost_recovery", 0) == min(cost - repaid, shared)
    assert imbalance(house) == 0


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scheme=st.sampled_from(sorted(schemes())), uses=st.integers(0, 2), credited=st.booleans())
def test_whatever_the_scheme_postings_sum_to_zero_and_shares_to_the_price(
    house: House, scheme: str, uses: int, credited: bool
) -> None:
    choose(house, scheme)
    known = parts.all_shares(house)
    agreement = sold(house) if not known else next(iter({one.agreement_id for one in _lines(house)} - {None}))
    for number in range(uses):
        use(house, str(agreement), 100 + len(_lines(house)) * 10 + number)
    post(house)
    invoice = parts.bill(house)
    if invoice is None:
        return
    pay(house, invoice, f"bank-{invoice.number}")
    for line in lines(house, invoice):
        if line.kind != queries.BUYER_FEE:
            assert sum(shares(house, line).values()) == line.price_fen
    if credited:
        credit(house, invoice)
    assert imbalance(house) == 0
    assert balance(house, house.cast["exchange"].id, "clearing") == 0


def _lines(house: House) -> list[queries.InvoiceLine]:
    with house.runtime.database.reading() as db:
        found = queries.invoices_of(db, house.cast["auditor"].actor).rows
        return [line for one in found for line in queries.lines(db, one.id)]


def test_income_of_the_treasury_does_not_go_back_to_the_hospital(house: House) -> None:
    hospital = house.cast["hospital"].id
    for owner in (hospital, f"{hospital}:department"):
        with pytest.raises(NotTheTreasury):
            choose(house, "public-hospital-v1", treasury=owner)
    assert entries(house, Tag.SCHEME_CHOSEN) == []
    choose(house, "public-hospital-v1", treasury=f"{hospital}:treasury")
    sold(house)
    pay(house, billed(house))
    owners = {one.owner for one in all_shares(house) if one.role.startswith("treasury")}
    assert owners == {f"{hospital}:treasury"}
