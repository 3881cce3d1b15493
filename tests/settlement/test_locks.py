"""Who pays, credits, chases and settles at the same moment waits for the other, and neither is turned away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from marketplace.negotiation import queries as negotiation
from marketplace.settlement import chasing, queries, results
from marketplace.settlement.bank.statements import take_statement
from marketplace.settlement.crediting import DepositReturned
from tests.house import House, open_house
from tests.settlement.parts import balance, billed_twice, credit, exchange, imbalance, pay
from tests.settlement.test_bank import statement
from tests.settlement.test_refunds import refunds, yuan
from tests.settlement.test_results import after_window, declare, deposit_billed


def chase(house: House, invoice: str) -> str:
    with house.db() as db:
        return chasing.chase(db, invoice, house.clock.now()).state


@pytest.mark.parametrize("beside", ["credit", "chase"])
def test_a_statement_of_two_invoices_of_an_agreement_and_who_holds_one_of_them_wait_for_each_other(
    tmp_path: Path, either_url: str, beside: str
) -> None:
    with open_house(tmp_path / "house", either_url) as house, ThreadPoolExecutor(1) as pool:
        _, first, second = billed_twice(house)
        house.clock.advance(timedelta(days=44))
        told = [statement((f"R{one.number}", yuan(one.total_fen), one.number)) for one in (first, second)]
        with house.db() as db:
            take_statement(db, exchange(house), told[0], house.clock.now())
            other = pool.submit(credit, house, second) if beside == "credit" else pool.submit(chase, house, second.id)
            with pytest.raises(TimeoutError):
                other.result(timeout=1)
            take_statement(db, exchange(house), told[1], house.clock.now())
        other.result(timeout=20)
        with house.db() as db:
            states = [queries.invoice(db, one.id).state for one in (first, second)]
        assert states == ["paid", "credited" if beside == "credit" else "paid"]
        assert [one.amount_fen for one in refunds(house)] == ([second.total_fen] if beside == "credit" else [])
        assert imbalance(house) == 0


def test_a_deposit_that_is_credited_while_its_outcome_is_settled_goes_back_once(
    tmp_path: Path, either_url: str
) -> None:
    with open_house(tmp_path / "house", either_url) as house, ThreadPoolExecutor(1) as pool:
        made, invoice = deposit_billed(house)
        pay(house, invoice)
        after_window(house)
        declare(house, made, 929)
        house.clock.advance(timedelta(days=14))
        with house.db() as db:
            negotiation.lock_agreement(db, negotiation.agreement(db, made))
            beside = pool.submit(credit, house, invoice)
            with pytest.raises(TimeoutError):
                beside.result(timeout=1)
            results.settle(db, made, house.clock.now())
        with pytest.raises(DepositReturned):
            beside.result(timeout=20)
        assert [one.cause for one in refunds(house)] == ["deposit"]
        assert balance(house, house.cast["exchange"].id, "escrow") == 0
        assert imbalance(house) == 0
