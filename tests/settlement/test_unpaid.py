"""What an unpaid invoice holds stays held until it is paid, whoever suspends and resumes meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest

from marketplace.settlement import overview, queries
from marketplace.settlement.bank.orders import NothingToPay
from tests.house import House
from tests.negotiation.parts import finalized
from tests.negotiation.succession.parts import agreement_of, amended, resume, settle, suspend
from tests.negotiation.succession.test_duties import report
from tests.settlement.parts import balance, bank, billed, credit, imbalance, lines, pay, post, sold
from tests.settlement.test_bank import order, statement, take
from tests.settlement.test_refunds import NOTHING, refunds, yuan
from tests.settlement.test_refunds import standing as open_with_bank
from tests.settlement.test_statements import back


def standing(house: House, agreement: str) -> tuple[str, str, str]:
    found = agreement_of(house, agreement)
    return found.state, found.suspended_by, found.reason


def pass_days(house: House, *days: int) -> None:
    """Sleep so many days, and let the workers do what is due, each time."""
    for some in days:
        house.clock.advance(timedelta(days=some))
        settle(house)


def owed(house: House) -> int:
    """What the buyer reads that it still owes, fen."""
    with house.runtime.database.reading() as db:
        return overview.owed(db, house.cast["pharma"].actor, house.clock.now())[0]


HELD = ("suspended", "service", "invoice_overdue")
FREE = ("finalized", "", "")


@pytest.mark.parametrize("who", ["pharma", "hospital"])
def test_a_side_that_takes_the_suspension_over_does_not_lift_it(house: House, who: str) -> None:
    agreement = sold(house)
    invoice = billed(house)
    pass_days(house, 30, 14)
    suspend(house, agreement, who)
    assert standing(house, agreement)[1] == house.cast[who].id
    resume(house, agreement, who)
    assert standing(house, agreement) == HELD
    pay(house, invoice)
    assert standing(house, agreement) == FREE


def test_a_suspension_of_before_ends_in_that_of_the_invoice(house: House) -> None:
    agreement = sold(house)
    invoice = billed(house)
    suspend(house, agreement, "pharma")
    pass_days(house, 30, 14)
    resume(house, agreement, "pharma")
    assert standing(house, agreement) == HELD
    suspend(house, agreement, "pharma")
    pay(house, invoice)
    assert standing(house, agreement)[1] == house.cast["pharma"].id
    resume(house, agreement, "pharma")
    assert standing(house, agreement) == FREE


def test_an_invoice_outlasts_a_report_that_was_missing_first(house: House) -> None:
    agreement = finalized(house)
    post(house)
    pass_days(house, 91)
    invoice = billed(house)
    pass_days(house, 14, 16, 14)
    assert standing(house, agreement.id) == ("suspended", "service", "use_report_missing")
    report(house, agreement)
    assert standing(house, agreement.id) == HELD
    pay(house, invoice)
    assert standing(house, agreement.id) == FREE


def test_a_report_outlasts_an_invoice_that_was_overdue_first(house: House) -> None:
    agreement = finalized(house)
    post(house)
    invoice = billed(house)
    pass_days(house, 30, 14, 47, 14)
    assert standing(house, agreement.id) == HELD
    pay(house, invoice)
    assert standing(house, agreement.id) == ("suspended", "service", "use_report_missing")
    report(house, agreement)
    assert standing(house, agreement.id) == FREE


def test_payment_for_an_amendment_does_not_let_go_what_its_predecessor_owes(house: House) -> None:
    first = finalized(house)
    post(house)
    earlier = billed(house)
    second = amended(house, first.id, price_plan={"kind": "one_off", "price_fen": 9_000_000})
    post(house)
    later = billed(house)
    assert {one.agreement_id for one in lines(house, later)} == {second.id}
    pass_days(house, 30, 14)
    assert standing(house, second.id) == HELD
    pay(house, later, "bank-later")
    assert standing(house, second.id) == HELD
    with house.db() as db:
        assert queries.invoice(db, earlier.id).state == "overdue"
    pay(house, earlier)
    assert standing(house, second.id) == FREE


def test_who_has_a_payment_taken_back_by_the_bank_uses_no_longer_until_it_is_made_good(house: House) -> None:
    agreement = sold(house)
    invoice = billed(house)
    paid = statement(("R1", yuan(invoice.total_fen), invoice.number))
    pass_days(house, 30, 14)
    assert standing(house, agreement) == HELD
    assert take(house, paid) == [("paid", invoice.id)]
    assert standing(house, agreement) == FREE
    assert take(house, back(paid).replace("CRDT", "DBIT")) == [("reversed", invoice.id)]
    pass_days(house, 13)
    assert standing(house, agreement) == FREE
    pass_days(house, 1)
    assert standing(house, agreement) == HELD
    half = invoice.total_fen // 2
    assert take(house, statement(("R2", yuan(half), invoice.number))) == [("part_paid", invoice.id)]
    assert standing(house, agreement) == HELD
    assert take(house, statement(("R3", yuan(invoice.total_fen - half), invoice.number))) == [("paid", invoice.id)]
    assert standing(house, agreement) == FREE
    assert imbalance(house) == 0


def test_a_payment_that_is_taken_back_before_its_day_counts_as_unpaid_from_that_day(house: House) -> None:
    agreement = sold(house)
    invoice = billed(house)
    paid = statement(("R1", yuan(invoice.total_fen), invoice.number))
    take(house, paid)
    take(house, back(paid).replace("CRDT", "DBIT"))
    pass_days(house, 30, 13)
    assert standing(house, agreement) == FREE
    pass_days(house, 1)
    assert standing(house, agreement) == HELD
    credit(house, invoice)
    assert standing(house, agreement) == FREE


@pytest.mark.parametrize("part", [1, None])
def test_who_pays_and_takes_back_again_and_again_has_the_grace_once(house: House, part: int | None) -> None:
    agreement = sold(house)
    invoice = billed(house)
    paid = statement(("R1", yuan(invoice.total_fen), invoice.number))
    pass_days(house, 30, 14)
    take(house, paid)
    take(house, back(paid).replace("CRDT", "DBIT"))
    pass_days(house, 13)
    again = statement(("R2", yuan(part or invoice.total_fen), invoice.number))
    take(house, again)
    assert take(house, back(again).replace("CRDT", "DBIT")) == [("reversed", invoice.id)]
    assert standing(house, agreement) == FREE
    pass_days(house, 1)
    assert standing(house, agreement) == HELD
    last = statement(("R3", yuan(invoice.total_fen), invoice.number))
    take(house, last)
    assert standing(house, agreement) == FREE
    take(house, back(last).replace("CRDT", "DBIT"))
    pass_days(house, 0)
    assert standing(house, agreement) == HELD
    assert imbalance(house) == 0


def test_a_part_that_is_taken_back_after_the_rest_was_credited_is_not_refunded_beside(house: House) -> None:
    sold(house)
    invoice = billed(house)
    for who in ("exchange", "pharma"):
        bank(house, who)
    part = statement(("R1", "10.00", invoice.number))
    take(house, part)
    credit(house, invoice)
    assert [(one.cause, one.amount_fen) for one in refunds(house)] == [("overpayment", 1_000)]
    take(house, back(part).replace("CRDT", "DBIT"))
    assert (owed(house), open_with_bank(house)) == (0, NOTHING)
    with pytest.raises(NothingToPay):
        order(house)
    again = statement(("R2", "10.00", invoice.number))
    assert take(house, again) == [("overpaid", invoice.id)]
    assert order(house).total_fen == 1_000
    assert imbalance(house) == 0


def test_who_has_a_payment_taken_back_after_a_credit_note_owes_the_rest_and_nothing_is_owed_to_it(house: House) -> None:
    agreement = sold(house, uses=1)
    invoice = billed(house)
    for who in ("exchange", "pharma"):
        bank(house, who)
    paid = statement(("R1", yuan(invoice.total_fen), invoice.number))
    take(house, paid)
    (used,) = [one for one in lines(house, invoice) if one.kind == "use.transfer"]
    credit(house, invoice, [used.position])
    take(house, back(paid).replace("CRDT", "DBIT"))
    left = invoice.total_fen - used.price_fen
    assert owed(house) == left == -balance(house, house.cast["pharma"].id, "payable")
    pass_days(house, 44)
    assert standing(house, agreement) == HELD
    assert take(house, statement(("R2", yuan(left), invoice.number))) == [("paid", invoice.id)]
    assert standing(house, agreement) == FREE
    assert open_with_bank(house) == NOTHING
    with pytest.raises(NothingToPay):
        order(house)
    assert imbalance(house) == 0


@pytest.mark.parametrize("first", ["access", "all"])
def test_what_is_credited_after_the_bank_took_it_back_is_neither_owed_nor_missing(house: House, first: str) -> None:
    agreement = sold(house, uses=1)
    invoice = billed(house)
    paid = statement(("R1", yuan(invoice.total_fen), invoice.number))
    take(house, paid)
    assert owed(house) == 0
    take(house, back(paid).replace("CRDT", "DBIT"))
    assert owed(house) == invoice.total_fen
    pass_days(house, 44)
    assert standing(house, agreement) == HELD
    access, *_ = [one for one in lines(house, invoice) if one.kind == "sale.access"]
    credit(house, invoice, [access.position] if first == "access" else [])
    assert owed(house) == (invoice.total_fen - access.price_fen if first == "access" else 0)
    assert refunds(house) == []
    left = invoice.total_fen - access.price_fen if first == "access" else 0
    assert balance(house, house.cast["pharma"].id, "payable") == -left
    if left:
        assert standing(house, agreement) == HELD
        take(house, statement(("R2", yuan(left), invoice.number)))
    assert standing(house, agreement) == FREE
    assert open_with_bank(house) == NOTHING
    assert imbalance(house) == 0


def test_a_credit_note_over_what_is_missing_lets_the_other_agreements_go(house: House) -> None:
    first, second = sold(house), sold(house)
    invoice = billed(house)
    of_first = [one for one in lines(house, invoice) if one.agreement_id == first]
    missing = sum(one.price_fen for one in of_first)
    part = statement(("R1", yuan(missing), invoice.number))
    take(house, part)
    take(house, statement(("R2", yuan(invoice.total_fen - missing), invoice.number)))
    take(house, back(part).replace("CRDT", "DBIT"))
    pass_days(house, 44)
    assert (standing(house, first), standing(house, second)) == (HELD, HELD)
    credit(house, invoice, [one.position for one in of_first])
    assert (standing(house, first), standing(house, second)) == (FREE, FREE)
    assert refunds(house) == []
    assert open_with_bank(house) == NOTHING
