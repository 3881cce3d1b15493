"""What a bank tells twice, under two names, or takes back."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlmodel import select

from marketplace.audit.entry import Tag
from marketplace.audit.models import Entry
from marketplace.ledger import queries as books
from marketplace.ledger.models import LedgerTransaction
from marketplace.settlement import queries
from marketplace.settlement.bank.camt import UnreadableStatement
from marketplace.settlement.bank.orders import NothingToPay
from marketplace.settlement.bank.statements import take_statement
from marketplace.settlement.paying import WrongAmount, name_of_reference
from marketplace.settlement.paying import pay as pay_invoice
from tests.house import House, open_house
from tests.settlement.parts import balance, bank, billed, exchange, imbalance, pay, sold
from tests.settlement.test_bank import order, statement, take, together
from tests.settlement.test_journey import findings
from tests.settlement.test_refunds import NOTHING, debit, refunds, standing, yuan
from tests.transfer.doors import entries


def cash(house: House) -> int:
    return balance(house, house.cast["pharma"].id, "asset:cash")


def test_a_payment_entered_by_hand_is_confirmed_by_the_statement_and_not_counted_twice(house: House) -> None:
    sold(house)
    arranged = findings(house)
    invoice = billed(house)
    half = invoice.total_fen // 2
    pay(house, invoice, "by-hand-1", half)
    pay(house, invoice, "by-hand-2", invoice.total_fen - half)
    text = statement(("R1", yuan(half), invoice.number))
    assert take(house, text) == [("confirmed", invoice.id)]
    assert take(house, text) == [("taken_before", invoice.id)]
    assert not refunds(house)
    assert cash(house) == -invoice.total_fen
    assert [one["facts"]["outcome"] for one in entries(house, Tag.BANK_ENTRY_TAKEN)] == ["confirmed"]
    rest = yuan(invoice.total_fen - half)
    again = statement(("R2", rest, invoice.number), ("R3", rest, invoice.number))
    assert take(house, again) == [("confirmed", invoice.id), ("overpaid", invoice.id)]
    assert standing(house) == NOTHING | {
        "asset:refund-due": invoice.total_fen - half,
        "refunds": half - invoice.total_fen,
    }
    assert findings(house) == arranged
    assert imbalance(house) == 0


def test_a_payment_entered_by_hand_under_the_banks_own_reference_is_told_once(house: House) -> None:
    sold(house)
    invoice = billed(house)
    pay(house, invoice, name_of_reference("R1"))
    text = statement(("R1", yuan(invoice.total_fen), invoice.number))
    assert [take(house, text)[0][0] for _ in range(2)] == ["confirmed", "taken_before"]
    assert take(house, statement(("R2", yuan(invoice.total_fen), invoice.number))) == [("overpaid", invoice.id)]
    assert [one.amount_fen for one in refunds(house)] == [invoice.total_fen]


def test_a_statement_that_tells_another_sum_than_was_entered_under_its_reference_says_so(house: House) -> None:
    sold(house)
    invoice = billed(house)
    pay(house, invoice, name_of_reference("R1"), 1_000)
    told = statement(("R1", "90.00", invoice.number))
    for _ in range(2):
        assert take(house, told) == [("other_sum", invoice.id)]
    assert cash(house) == -1_000
    assert entries(house, Tag.BANK_ENTRY_TAKEN) == []
    assert take(house, statement(("R1", "10.00", invoice.number))) == [("confirmed", invoice.id)]
    assert take(house, told) == [("other_sum", invoice.id)]


def test_a_number_within_a_statement_names_a_credit_of_that_statement_and_account_only(house: House) -> None:
    sold(house)
    invoice = billed(house)
    first = statement(("1", "10.00", invoice.number)).replace("AcctSvcrRef", "NtryRef")
    next_one = first.replace("<Id>1</Id>", "<Id>2</Id>")
    elsewhere = first.replace("</Id>", "</Id><Acct><Id><Othr><Id>6222</Id></Othr></Id></Acct>", 1)
    for text in (first, next_one, elsewhere):
        assert take(house, text) == [("part_paid", invoice.id)]
        assert take(house, text) == [("taken_before", invoice.id)]
    assert cash(house) == -3_000
    with pytest.raises(UnreadableStatement):
        take(house, first.replace("<Id>1</Id>", ""))


def back(text: str) -> str:
    return text.replace("</CdtDbtInd>", "</CdtDbtInd><RvslInd>true</RvslInd>")


def test_a_refund_that_comes_back_is_owed_and_ordered_again(house: House) -> None:
    sold(house)
    arranged = findings(house)
    invoice = billed(house)
    take(house, statement(("R1", yuan(invoice.total_fen + 700), invoice.number)))
    for who in ("exchange", "pharma"):
        bank(house, who)
    for round_ in range(2):
        order(house)
        (due,) = refunds(house)
        sent = debit(f"D{round_}", 700, str(due.reference))
        assert take(house, sent) == [("refunded", invoice.id)]
        assert standing(house) == NOTHING
        if not round_:
            returned = back(sent).replace("DBIT", "CRDT")
            assert take(house, returned) == [("returned", invoice.id)]
            assert take(house, returned) == [("taken_before", invoice.id)]
            assert [one.state for one in refunds(house)] == ["owed"]
            assert standing(house) == NOTHING | {"asset:refund-due": 700, "refunds": -700}
    assert cash(house) == -invoice.total_fen
    assert findings(house) == arranged
    assert imbalance(house) == 0


def test_a_payment_that_the_bank_takes_back_holds_what_it_paid_until_it_is_made_good(house: House) -> None:
    sold(house)
    arranged = findings(house)
    invoice = billed(house)
    for who in ("exchange", "hospital", "pharma"):
        bank(house, who)
    part = statement(("R1", "10.00", invoice.number))
    bounced = back(part).replace("CRDT", "DBIT")
    assert take(house, part) == [("part_paid", invoice.id)]
    assert [take(house, bounced)[0][0] for _ in range(2)] == ["reversed", "taken_before"]
    assert standing(house) == NOTHING | {"payable": -invoice.total_fen}
    whole = statement(("R2", yuan(invoice.total_fen + 700), invoice.number))
    assert take(house, whole) == [("overpaid", invoice.id)]
    assert take(house, back(whole).replace("CRDT", "DBIT").replace("R2", "R3")) == [("reversed", invoice.id)]
    assert [one.state for one in refunds(house)] == ["void"]
    assert standing(house) == NOTHING | {"payable": -invoice.total_fen, "clearing": invoice.total_fen}
    with pytest.raises(NothingToPay):
        order(house)
    assert take(house, statement(("R4", yuan(invoice.total_fen), invoice.number))) == [("paid", invoice.id)]
    assert standing(house) == NOTHING
    assert cash(house) == -invoice.total_fen
    assert order(house).payments == 1
    assert findings(house) == arranged
    assert imbalance(house) == 0


def test_a_credit_that_named_no_invoice_pays_the_one_it_is_entered_for(house: House) -> None:
    sold(house)
    arranged = findings(house)
    invoice = billed(house)
    text = statement(("R1", yuan(invoice.total_fen), "no number"))
    assert take(house, text) == [("no_invoice", None)]
    with pytest.raises(WrongAmount):
        pay(house, invoice, name_of_reference("R1"), 1)
    assert pay(house, invoice, name_of_reference("R1")).state == "paid"
    assert take(house, text) == [("taken_before", invoice.id)]
    assert take(house, statement(("R2", yuan(invoice.total_fen), invoice.number))) == [("overpaid", invoice.id)]
    assert cash(house) == -2 * invoice.total_fen
    assert findings(house) == arranged
    assert imbalance(house) == 0


def test_a_statement_that_is_sent_twice_at_once_is_taken_once(tmp_path: Path, either_url: str) -> None:
    with open_house(tmp_path / "house", either_url) as house, ThreadPoolExecutor(1) as pool:
        sold(house)
        invoice = billed(house)
        text = statement(("R1", yuan(invoice.total_fen), invoice.number))
        with house.db() as db:
            first = take_statement(db, exchange(house), text, house.clock.now())
            second = pool.submit(take, house, text)
            with pytest.raises(TimeoutError):  # it waits for the first one
                second.result(timeout=1)
        assert [one.outcome for one in first] == ["paid"]
        assert second.result(timeout=20) == [("taken_before", invoice.id)]
        assert not refunds(house)


def test_what_the_bank_tells_twice_at_once_is_taken_once(tmp_path: Path, either_url: str) -> None:
    with open_house(tmp_path / "house", either_url) as house, ThreadPoolExecutor(1) as pool:
        invoices = []
        for _ in range(2):
            sold(house)
            invoices.append(billed(house))
        text = statement(("R1", "5.00", "gift"))
        with house.db() as db:
            (first,) = take_statement(db, exchange(house), text, house.clock.now())
            second = pool.submit(take, house, text)
            with pytest.raises(TimeoutError):  # it waits for the first one
                second.result(timeout=1)
        assert (first.outcome, second.result(timeout=20)) == ("no_invoice", [("taken_before", None)])
        assert len(entries(house, Tag.BANK_ENTRY_TAKEN)) == 1

        with house.db() as db:
            found, name = queries.invoice(db, invoices[0].id), name_of_reference("B-1")
            pay_invoice(db, exchange(house), found, name, found.total_fen, house.clock.now())
            beside = pool.submit(pay, house, invoices[1], name)
            with pytest.raises(TimeoutError):
                beside.result(timeout=1)
        with pytest.raises(WrongAmount):
            beside.result(timeout=20)
        assert imbalance(house) == 0


def test_what_a_statement_tells_enters_the_books_at_once_and_as_if_each_were_told_alone(tmp_path: Path) -> None:
    alone, at_once = (paid_and_bounced(tmp_path / name, whole=name == "at_once") for name in ("alone", "at_once"))
    assert alone[:-1] == at_once[:-1]
    assert alone[0] == ["paid", "overpaid", "reversed", "part_paid"]
    assert at_once[-1] == 2, "all that was paid, then what is taken back of it"


def paid_and_bounced(
    folder: Path, *, whole: bool
) -> tuple[list[str], dict[tuple[str, str], int], Counter[str], Counter[str], int]:
    """A market whose bank tells four things, in one statement or in four.

    Outcomes, balances by owner and account, transactions by kind, entries by tag, how often balances were written.
    """
    with open_house(folder) as house:
        invoices = []
        for uses in (0, 1):
            sold(house, uses=uses)
            invoices.append(billed(house))
        first, second = invoices
        over, grown = ("R2", yuan(second.total_fen + 700), second.number), list[str]()
        told = [statement(("R1", yuan(first.total_fen), first.number)), statement(over)]
        told += [back(statement(over)).replace("CRDT", "DBIT"), statement(("R3", "5.00", second.number))]

        def note(_connection: object, _cursor: object, text: str, *_more: object) -> None:
            grown.extend([text] if text.startswith("INSERT INTO account_balance") else [])

        event.listen(house.runtime.database.engine, "before_cursor_execute", note)
        outcomes = [outcome for text in ([together(*told)] if whole else told) for outcome, _ in take(house, text)]
        assert imbalance(house) == 0
        with house.runtime.database.reading() as db:
            held = {(one.owner, one.account): one.amount_minor for one in books.balances(db)}
            kinds, tags = Counter(db.exec(select(LedgerTransaction.kind))), Counter(db.exec(select(Entry.tag)))
        del tags[Tag.ROWS_SEALED]  # one for each transaction, that is each statement
        return outcomes, held, kinds, tags, len(grown)
