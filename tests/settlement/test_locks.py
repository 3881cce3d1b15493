"""Who pays, credits, chases and settles at the same moment waits for the other, and neither is turned away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from marketplace.assets import queries as assets
from marketplace.audit.entry import Tag
from marketplace.costing.service import post_pending
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation import stopping
from marketplace.settlement import chasing, queries, results
from marketplace.settlement.bank.statements import take_statement
from marketplace.settlement.crediting import DepositReturned
from tests.exchange.parts import listed
from tests.house import House, open_house
from tests.negotiation.parts import finalized
from tests.negotiation.succession.parts import BREACH, agreement_of, amend, sign_successor, sign_successor_in
from tests.settlement.parts import (
    balance,
    billed,
    billed_twice,
    credit,
    exchange,
    imbalance,
    lines,
    pay,
    post,
    sold,
    use,
)
from tests.settlement.test_bank import statement, take
from tests.settlement.test_refunds import refunds, yuan
from tests.settlement.test_results import after_window, declare, deposit_billed
from tests.transfer.doors import entries


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


def test_a_statement_of_two_invoices_and_who_signs_an_amendment_of_the_second_wait_for_each_other(
    tmp_path: Path, either_url: str
) -> None:
    with open_house(tmp_path / "house", either_url) as house, ThreadPoolExecutor(1) as pool:
        listing, invoices = listed(house), []
        for _ in range(2):
            agreement = finalized(house, listing=listing).id
            post(house)
            invoices.append(billed(house))
        amendment = amend(house, agreement, "pharma", parameters={"max_uses": 9}).id
        sign_successor(house, amendment, "pharma")
        told = statement(*((f"R{one.number}", yuan(one.total_fen), one.number) for one in invoices))
        with house.db() as db:
            negotiation.lock_agreement(db, negotiation.agreement(db, amendment))
            beside = pool.submit(take, house, told)
            with pytest.raises(TimeoutError):
                beside.result(timeout=1)
            sign_successor_in(db, house, amendment, "hospital")
        assert beside.result(timeout=20) == [("paid", one.id) for one in invoices]
        assert [agreement_of(house, one).state for one in (agreement, amendment)] == ["superseded", "finalized"]
        assert len(entries(house, Tag.INVOICE_PAID)) == 2
        assert imbalance(house) == 0


def test_who_chases_an_invoice_of_two_agreements_and_who_terminates_the_second_wait_for_each_other(
    tmp_path: Path, either_url: str
) -> None:
    with open_house(tmp_path / "house", either_url) as house, ThreadPoolExecutor(1) as pool:
        listing = listed(house)
        first, second = (finalized(house, listing=listing).id for _ in range(2))
        post(house)
        invoice = billed(house)
        house.clock.advance(timedelta(days=44))
        with house.db() as db:
            agreement = negotiation.agreement(db, second)
            negotiation.lock_agreement(db, agreement)
            beside = pool.submit(chase, house, invoice.id)
            with pytest.raises(TimeoutError):
                beside.result(timeout=1)
            stopping.terminate(db, house.cast["pharma"].actor, agreement, BREACH, house.clock.now())
        assert beside.result(timeout=20) == "overdue"
        assert [agreement_of(house, one).state for one in (first, second)] == ["suspended", "terminated"]
        assert len(entries(house, Tag.AGREEMENT_SUSPENDED)) == len(entries(house, Tag.AGREEMENT_TERMINATED)) == 1


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


def test_a_credit_note_that_settles_the_rest_waits_for_its_assets_before_it_is_in_the_books(
    tmp_path: Path, either_url: str
) -> None:
    with open_house(tmp_path / "house", either_url) as house, ThreadPoolExecutor(1) as pool:
        agreement = sold(house, uses=2)
        invoice = billed(house)
        *_, use_line = lines(house, invoice)
        pay(house, invoice, "part", invoice.total_fen - use_line.price_fen)
        use(house, agreement, 3)
        with house.db() as db:  # as a payment at another exchange does: first the asset, the books last
            assets.lock_asset(db, str(use_line.asset_id))
            beside = pool.submit(credit, house, invoice, [use_line.position])
            with pytest.raises(TimeoutError):
                beside.result(timeout=1)
            assert post_pending(db, house.clock.now()).posted == 1
        beside.result(timeout=20)
        with house.db() as db:
            assert queries.invoice(db, invoice.id).state == "paid"
        assert len(entries(house, Tag.INVOICE_CREDITED)) == len(entries(house, Tag.INVOICE_PAID)) == 1
        assert imbalance(house) == 0
