"""Pay for results: a deposit in escrow, the word of a verifier, a dispute, and then the price or the deposit back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from marketplace.audit.entry import Tag
from marketplace.exchange.pricing import PlanDoesNotFit
from marketplace.kernel.transitions import WrongState
from marketplace.negotiation import queries as negotiation
from marketplace.settlement import queries, results
from marketplace.settlement.crediting import DepositReturned
from marketplace.settlement.models import Invoice, Outcome
from marketplace.settlement.results import NothingDeclared, NotTheVerifier, TooEarly, TooLate
from marketplace.settlement.rules import RulingStands
from tests.exchange.parts import certified, listed, offered
from tests.house import House, open_house
from tests.settlement.parts import balance, bill, billed, credit, imbalance, lines, pay, post, shares, sold
from tests.transfer.doors import entries

PRICE, DEPOSIT = 20_000_000, 2_000_000
PLAN = {
    "kind": "results",
    "price_fen": PRICE,
    "deposit_fen": DEPOSIT,
    "kpi": "sensitivity",
    "baseline_permille": 880,
    "target_permille": 930,
    "window_days": 180,
    "verifier": "prt_institute",
}


@pytest.fixture
def agreement(house: House) -> str:
    """An agreement whose deposit is paid."""
    made, deposit = deposit_billed(house)
    pay(house, deposit, "bank-deposit")
    return made


def deposit_billed(house: House) -> tuple[str, Invoice]:
    """An agreement, and the invoice of its deposit."""
    return sold(house, listing=listed(house, price_plan=PLAN)), billed(house)


def decided(house: House, agreement: str, value: int) -> str:
    """The state of an agreement of which the verifier has said a value after the window, undisputed."""
    after_window(house)
    declare(house, agreement, value)
    return settle(house, agreement)


def met_and_billed(house: House, agreement: str) -> Invoice:
    """The invoice of the price, the target being met."""
    assert decided(house, agreement, 931) == "settled"
    post(house)
    return billed(house)


def declare(house: House, agreement: str, value: int, who: str = "institute") -> Outcome:
    with house.db() as db:
        found = negotiation.agreement(db, agreement)
        return results.declare(db, house.cast[who].actor, found, value, house.clock.now())


def dispute(house: House, agreement: str, who: str = "pharma") -> Outcome:
    with house.db() as db:
        found = negotiation.agreement(db, agreement)
        return results.dispute(db, house.cast[who].actor, found, "wrong_measurement", house.clock.now())


def settle(house: House, agreement: str) -> str:
    house.clock.advance(timedelta(days=14))
    with house.db() as db:
        found = results.settle(db, agreement, house.clock.now())
        assert found is not None
        return found.state


def held(house: House) -> int:
    return -balance(house, house.cast["exchange"].id, "escrow")


def after_window(house: House) -> None:
    house.clock.advance(timedelta(days=180))


def test_the_deposit_is_held_and_no_part_of_anybodys_income(house: House, agreement: str) -> None:
    assert held(house) == DEPOSIT == balance(house, house.cast["pharma"].id, "asset:deposit")
    assert balance(house, house.cast["hospital"].id, "revenue:access") == 0
    assert imbalance(house) == 0


def test_where_the_target_is_met_the_price_is_billed_and_the_deposit_returned_with_its_payment(
    house: House, agreement: str
) -> None:
    after_window(house)
    assert declare(house, agreement, 931).met
    assert settle(house, agreement) == "settled"
    post(house)
    invoice = billed(house)
    (line,) = lines(house, invoice)
    assert (line.kind, line.price_fen) == ("sale.success", PRICE)
    assert held(house) == DEPOSIT
    pay(house, invoice)
    assert held(house) == 0
    assert balance(house, house.cast["pharma"].id, "asset:deposit") == 0
    assert sum(shares(house, line).values()) == PRICE
    assert imbalance(house) == 0


def test_where_it_is_missed_the_deposit_goes_back_and_nothing_is_due(house: House, agreement: str) -> None:
    pharma = house.cast["pharma"].id
    before = balance(house, pharma, "asset:refund-due")
    after_window(house)
    assert not declare(house, agreement, 929).met
    assert settle(house, agreement) == "settled"
    post(house)
    assert bill(house) is None
    assert held(house) == 0
    assert balance(house, pharma, "asset:refund-due") == before + DEPOSIT
    with house.db() as db:
        results.settle(db, agreement, house.clock.now())
    assert balance(house, pharma, "asset:refund-due") == before + DEPOSIT
    assert len(entries(house, Tag.OUTCOME_SETTLED)) == 1


def test_a_deposit_that_is_paid_after_the_result_was_missed_goes_back_at_once(house: House) -> None:
    made, invoice = deposit_billed(house)
    assert decided(house, made, 929) == "settled"
    pay(house, invoice)
    assert held(house) == 0 == balance(house, house.cast["pharma"].id, "asset:deposit")
    assert imbalance(house) == 0


@pytest.mark.parametrize("first", ["deposit", "price"])
def test_deposit_and_price_that_are_paid_in_any_order_leave_nothing_held(house: House, first: str) -> None:
    made, deposit = deposit_billed(house)
    price = met_and_billed(house, made)
    for invoice in (deposit, price) if first == "deposit" else (price, deposit):
        assert held(house) == DEPOSIT
        pay(house, invoice, f"bank-{invoice.number}")
    assert held(house) == 0 == balance(house, house.cast["pharma"].id, "asset:deposit")
    assert imbalance(house) == 0


def test_a_deposit_that_went_back_is_not_credited_too(house: House, agreement: str) -> None:
    pharma = house.cast["pharma"].id
    decided(house, agreement, 929)
    before = balance(house, pharma, "asset:refund-due")
    with house.db() as db:
        (invoice,) = queries.invoices_of(db, house.cast["exchange"].actor).rows
    (line,) = [one for one in lines(house, invoice) if one.kind == queries.DEPOSIT]
    with pytest.raises(DepositReturned):
        credit(house, invoice, [line.position])
    assert (held(house), balance(house, pharma, "asset:refund-due")) == (0, before)


def test_a_deposit_that_was_credited_does_not_go_back_again(house: House, agreement: str) -> None:
    pharma = house.cast["pharma"].id
    with house.db() as db:
        (invoice,) = queries.invoices_of(db, house.cast["exchange"].actor).rows
    (line,) = [one for one in lines(house, invoice) if one.kind == queries.DEPOSIT]
    credit(house, invoice, [line.position])
    before = balance(house, pharma, "asset:refund-due")
    decided(house, agreement, 929)
    assert (held(house), balance(house, pharma, "asset:refund-due")) == (0, before)


def test_a_dispute_holds_the_settlement_until_the_verifier_has_spoken_again(house: House, agreement: str) -> None:
    after_window(house)
    with pytest.raises(NothingDeclared):
        dispute(house, agreement)
    declare(house, agreement, 931)
    dispute(house, agreement)
    assert settle(house, agreement) == "disputed"
    assert declare(house, agreement, 900).rulings == 2
    with pytest.raises(RulingStands):
        dispute(house, agreement, "hospital")
    assert settle(house, agreement) == "settled"
    assert held(house) == 0
    with pytest.raises(WrongState):
        declare(house, agreement, 931)


def test_only_the_agreed_verifier_speaks_and_only_after_the_window(house: House, agreement: str) -> None:
    with pytest.raises(TooEarly):
        declare(house, agreement, 931)
    after_window(house)
    for who in ("pharma", "hospital", "law_firm"):
        with pytest.raises(NotTheVerifier):
            declare(house, agreement, 931, who)
    first, again = declare(house, agreement, 931), declare(house, agreement, 931)
    assert (first.rulings, again.rulings) == (1, 1)


def test_a_provider_does_not_verify_its_own_results(house: House) -> None:
    version = certified(house)
    with pytest.raises(PlanDoesNotFit, match="own results"):
        offered(house, version, price_plan=PLAN | {"verifier": "prt_hospital"})
    with pytest.raises(PlanDoesNotFit, match="within the term"):
        offered(house, version, price_plan=PLAN | {"window_days": 366})


def test_a_deposit_that_is_paid_while_its_outcome_is_settled_goes_back(tmp_path: Path, either_url: str) -> None:
    with open_house(tmp_path / "house", either_url) as house, ThreadPoolExecutor(1) as pool:
        made, invoice = deposit_billed(house)
        after_window(house)
        declare(house, made, 929)
        house.clock.advance(timedelta(days=14))
        with house.db() as db:
            results.settle(db, made, house.clock.now())
            payment = pool.submit(pay, house, invoice)
            with pytest.raises(TimeoutError):  # it waits for what is being settled
                payment.result(timeout=1)
        assert payment.result(timeout=20).state == "paid"
        assert held(house) == 0 == balance(house, house.cast["pharma"].id, "asset:deposit")
        assert len(entries(house, Tag.REFUND_OWED)) == 1
        assert imbalance(house) == 0


@pytest.mark.parametrize("parts", [0, 5_000_000])
def test_a_price_that_is_credited_is_no_longer_secured(house: House, agreement: str, parts: int) -> None:
    pharma = house.cast["pharma"].id
    price = met_and_billed(house, agreement)
    if parts:
        pay(house, price, "bank-part", parts)
    credit(house, price)
    assert held(house) == 0 == balance(house, pharma, "asset:deposit")
    assert balance(house, pharma, "asset:refund-due") == DEPOSIT + parts
    assert imbalance(house) == 0


def test_a_deposit_paid_after_the_price_was_credited_goes_back(house: House) -> None:
    made, deposit = deposit_billed(house)
    credit(house, met_and_billed(house, made))
    assert len(entries(house, Tag.REFUND_OWED)) == 0
    pay(house, deposit)
    assert held(house) == 0 == balance(house, house.cast["pharma"].id, "asset:deposit")
    assert imbalance(house) == 0


def test_nothing_is_disputed_once_the_time_for_it_is_over(house: House, agreement: str) -> None:
    after_window(house)
    declare(house, agreement, 931)
    house.clock.advance(timedelta(days=14))  # the worker that settles it is late
    with pytest.raises(TooLate):
        dispute(house, agreement)
    assert settle(house, agreement) == "settled"
    assert entries(house, Tag.OUTCOME_DISPUTED) == []
