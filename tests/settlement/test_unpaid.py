"""What an unpaid invoice holds stays held until it is paid, whoever suspends and resumes meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest

from marketplace.settlement import queries
from tests.house import House
from tests.negotiation.parts import finalized
from tests.negotiation.succession.parts import agreement_of, amended, resume, settle, suspend
from tests.negotiation.succession.test_duties import report
from tests.settlement.parts import billed, lines, pay, post, sold


def standing(house: House, agreement: str) -> tuple[str, str, str]:
    found = agreement_of(house, agreement)
    return found.state, found.suspended_by, found.reason


def pass_days(house: House, *days: int) -> None:
    """Sleep so many days, and let the workers do what is due, each time."""
    for some in days:
        house.clock.advance(timedelta(days=some))
        settle(house)


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
