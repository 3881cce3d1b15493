"""Payments in part and too much, and refunds: owed in the books, ordered from the bank once, confirmed by it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketplace.audit.entry import Tag
from marketplace.settlement import queries
from marketplace.settlement.bank import queries as bank_queries
from marketplace.settlement.models import Refund
from marketplace.settlement.paying import WrongAmount
from tests.house import House
from tests.negotiation.succession.parts import agreement_of, settle
from tests.settlement.parts import all_shares, balance, bank, billed, credit, exchange, imbalance, lines, pay, sold
from tests.settlement.test_bank import order, statement, take
from tests.transfer.doors import entries


def refunds(house: House) -> list[Refund]:
    with house.db() as db:
        return list(bank_queries.refunds_of(db, exchange(house)).rows)[::-1]


def yuan(fen: int) -> str:
    return f"{Decimal(fen).scaleb(-2):.2f}"


def debit(reference: str, fen: int, name: str, tag: str = "EndToEndId") -> str:
    plain = statement((reference, yuan(fen), "x")).replace("CRDT", "DBIT")
    return plain.replace("<RmtInf>", f"<Refs><{tag}>{name}</{tag}></Refs><RmtInf>")


def standing(house: House) -> dict[str, int]:
    """What is open between exchange and buyer."""
    pharma, venue = house.cast["pharma"].id, house.cast["exchange"].id
    held = {"payable": pharma, "asset:refund-due": pharma, "clearing": venue, "refunds": venue}
    return {account: balance(house, owner, account) for account, owner in held.items()}


NOTHING = {"payable": 0, "asset:refund-due": 0, "clearing": 0, "refunds": 0}


def test_an_invoice_that_is_paid_in_part_stays_open_for_the_rest_and_is_chased_for_it(house: House) -> None:
    agreement = sold(house, uses=1)
    invoice = billed(house)
    rest = invoice.total_fen - 1_000_000
    assert take(house, statement(("R1", "10000.00", invoice.number))) == [("part_paid", invoice.id)]
    assert standing(house) == NOTHING | {"payable": -rest, "clearing": -1_000_000}
    assert not all_shares(house)
    for days in (30, 14):
        house.clock.advance(timedelta(days=days))
        settle(house)
    assert agreement_of(house, agreement).reason == "invoice_overdue"
    assert take(house, statement(("R2", yuan(rest), invoice.number))) == [("paid", invoice.id)]
    assert agreement_of(house, agreement).state == "finalized"
    assert standing(house) == NOTHING
    assert sum(one.amount_fen for one in all_shares(house)) == sum(
        line.price_fen for line in lines(house, invoice) if line.kind != queries.BUYER_FEE
    )
    (told,) = entries(house, Tag.INVOICE_PART_PAID)
    assert (told["facts"]["amount_fen"], told["facts"]["open_fen"]) == (1_000_000, rest)
    assert imbalance(house) == 0


def test_a_reference_that_paid_a_part_does_not_pay_another_sum(house: House) -> None:
    sold(house)
    invoice = billed(house)
    for _ in range(2):
        assert pay(house, invoice, "bank-1", 1_000).received_fen == 1_000
    with pytest.raises(WrongAmount):
        pay(house, invoice, "bank-1", invoice.total_fen - 1_000)
    assert len(entries(house, Tag.INVOICE_PART_PAID)) == 1
    assert pay(house, invoice, "bank-2", invoice.total_fen - 1_000).state == "paid"
    assert imbalance(house) == 0


def test_what_is_paid_too_much_is_owed_ordered_and_confirmed_once(house: House) -> None:
    sold(house)
    invoice = billed(house)
    pharma = house.cast["pharma"].id
    text = statement(("R1", yuan(invoice.total_fen + 700), invoice.number), ("R2", "5.00", invoice.number))
    assert take(house, text) == [("overpaid", invoice.id), ("overpaid", invoice.id)]
    take(house, text)
    assert [(one.cause, one.amount_fen, one.state) for one in refunds(house)] == [
        ("overpayment", 700, "owed"),
        ("overpayment", 500, "owed"),
    ]
    assert standing(house) == NOTHING | {"asset:refund-due": 1_200, "refunds": -1_200}
    bank(house, "exchange")
    bank(house, "pharma")
    made = order(house)
    assert (made.payments, made.total_fen) == (2, 1_200)
    first, second = refunds(house)
    assert {first.state, second.state} == {"ordered"}
    assert take(house, debit("D0", 700, "other")) == []
    assert take(house, debit("D1", 699, str(first.reference))) == []
    for _ in range(2):
        take(house, debit("D2", 700, str(first.reference)))
        take(house, debit("D3", 1_200, made.id[:35], "PmtInfId"))
    assert {one.state for one in refunds(house)} == {"paid"}
    assert len(entries(house, Tag.REFUND_PAID)) == 2
    assert standing(house) == NOTHING
    assert balance(house, pharma, "asset:cash") == -invoice.total_fen
    assert imbalance(house) == 0


def test_what_a_credit_note_takes_back_of_a_paid_invoice_goes_through_the_bank(house: House) -> None:
    sold(house, uses=1)
    invoice = billed(house)
    pay(house, invoice)
    line = next(one for one in lines(house, invoice) if one.kind == "use.transfer")
    credit(house, invoice, [line.position])
    assert [(one.cause, one.amount_fen) for one in refunds(house)] == [("credit_note", line.price_fen)]
    bank(house, "exchange")
    bank(house, "pharma")
    order(house)
    (back,) = refunds(house)
    assert take(house, debit("D1", line.price_fen, str(back.reference))) == [("refunded", invoice.id)]
    assert standing(house) == NOTHING
    assert balance(house, house.cast["pharma"].id, "asset:cash") == line.price_fen - invoice.total_fen


@pytest.mark.parametrize("whole", [False, True])
def test_a_credit_note_closes_an_invoice_that_its_parts_now_cover(house: House, whole: bool) -> None:
    sold(house, uses=1)
    invoice = billed(house)
    pay(house, invoice, amount=invoice.total_fen - 1)
    line = next(one for one in lines(house, invoice) if one.kind == "use.transfer")
    credit(house, invoice, [] if whole else [line.position])
    with house.db() as db:
        assert queries.invoice(db, invoice.id).state == ("credited" if whole else "paid")
    owed = invoice.total_fen - 1 if whole else line.price_fen - 1
    assert [(one.cause, one.amount_fen) for one in refunds(house)] == [("overpayment", owed)]
    assert standing(house) == NOTHING | {"asset:refund-due": owed, "refunds": -owed}
    assert imbalance(house) == 0


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.integers(1, 4_000_000), min_size=1, max_size=5))
def test_whatever_the_parts_what_came_in_is_settled_open_or_owed_back(house: House, parts: list[int]) -> None:
    with house.db() as db:
        before = len(queries.invoices_of(db, exchange(house)).rows)
    sold(house)
    invoice = billed(house)
    base = standing(house)["payable"] + invoice.total_fen
    owed = standing(house)["refunds"]
    for place, part in enumerate(parts):
        take(house, statement((f"P{before}-{place}", yuan(part), invoice.number)))
    came = sum(parts)
    assert standing(house)["payable"] - base == -max(invoice.total_fen - came, 0)
    assert owed - standing(house)["refunds"] == max(came - invoice.total_fen, 0)
    assert imbalance(house) == 0
