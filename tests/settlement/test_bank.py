"""Files for the bank: pain.001 out, each share once; camt.053 in, each credit once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from marketplace.audit.entry import Tag
from marketplace.kernel.canonical import sha256_hex
from marketplace.plumbing.paging import NotOnThisList
from marketplace.settlement import queries
from marketplace.settlement.bank import orders, statements
from marketplace.settlement.bank.camt import UnreadableStatement, read_statement
from marketplace.settlement.bank.orders import NAMESPACE, NoOwnAccount, NothingToPay, Transfer
from marketplace.settlement.bank.queries import orders_of
from marketplace.settlement.crediting import SharesPaidOut
from marketplace.settlement.models import BankAccount, PaymentOrder
from tests.house import House, open_house
from tests.settlement.parts import all_shares, bank, billed, choose, credit, exchange, pay, sold
from tests.transfer.doors import entries

CAMT = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"


def order(house: House) -> PaymentOrder:
    with house.db() as db:
        return orders.order_payments(db, exchange(house), house.clock.now())


def at(element: ET.Element, path: str) -> list[ET.Element]:
    return element.findall("/".join(f"{{{NAMESPACE}}}{name}" for name in path.split("/")))


def one(element: ET.Element, path: str) -> str:
    (found,) = at(element, path)
    return str(found.text)


@pytest.fixture
def paid(house: House) -> House:
    choose(house, "report-example-v1", operator=house.cast["operator"].id)
    sold(house, uses=1)
    pay(house, billed(house))
    return house


def test_the_file_pays_every_share_that_has_an_account_once(paid: House) -> None:
    bank(paid, "exchange")
    bank(paid, "hospital")
    bank(paid, "operator", account="6222000033334444")
    made = order(paid)
    owners = {share.owner for share in all_shares(paid) if share.order_id}
    assert owners == {paid.cast["hospital"].id, paid.cast["operator"].id}
    assert made.total_fen == sum(share.amount_fen for share in all_shares(paid) if share.order_id == made.id)
    with pytest.raises(NothingToPay):
        order(paid)
    bank(paid, "hospital", "department")
    later = order(paid)
    assert later.payments == 1
    unpaid = {share.role for share in all_shares(paid) if share.order_id is None}
    assert unpaid == {"exchange_fee"}


def test_shares_are_read_page_by_page_and_everybody_reads_the_own_ones(paid: House) -> None:
    every = [(share.line_id, share.role) for share in all_shares(paid)]
    auditor, provider = paid.cast["auditor"].actor, paid.cast["hospital"].actor
    with paid.runtime.database.reading() as db:
        first = queries.shares_of(db, auditor, limit=2)
        rest = queries.shares_of(db, auditor, cursor=first.next)
        assert [(share.line_id, share.role) for share in (*first.rows, *rest.rows)] == every
        assert (first.next, rest.next) == (":".join(every[1]), None)
        for actor, cursor in ((paid.cast["pharma"].actor, first.next), (provider, every[0][0]), (provider, "")):
            with pytest.raises(NotOnThisList):
                queries.shares_of(db, actor, cursor=cursor)


class Listed:
    """Another provider of payments: it is told references and amounts."""

    def message(self, order_id: str, debtor: BankAccount, transfers: Sequence[Transfer], now: datetime) -> str:
        return "\n".join([order_id, debtor.holder, *(f"{one.reference} {one.amount_fen}" for one in transfers)])


def test_another_provider_of_payments_is_told_the_same_transfers(paid: House) -> None:
    bank(paid, "exchange")
    bank(paid, "hospital")
    with paid.db() as db:
        made = orders.order_payments(db, exchange(paid), paid.clock.now(), provider=Listed())
    told = made.message.splitlines()
    assert told[0] == made.id
    assert sum(int(line.split()[1]) for line in told[2:]) == made.total_fen
    assert made.sha256 == sha256_hex(made.message.encode())
    (entry,) = entries(paid, Tag.PAYMENTS_ORDERED)
    assert entry["facts"]["sha256"] == made.sha256


def test_the_file_keeps_the_rules_of_its_message(paid: House) -> None:
    bank(paid, "exchange")
    bank(paid, "hospital")
    bank(paid, "hospital", "department")
    made = order(paid)
    assert made.message.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="' + NAMESPACE)
    root = ET.fromstring(made.message.encode())
    (initiation,) = at(root, "CstmrCdtTrfInitn")
    assert [child.tag.partition("}")[2] for child in initiation] == ["GrpHdr", "PmtInf"]
    (head,) = at(initiation, "GrpHdr")
    (batch,) = at(initiation, "PmtInf")
    assert [child.tag.partition("}")[2] for child in head] == ["MsgId", "CreDtTm", "NbOfTxs", "CtrlSum", "InitgPty"]
    assert [child.tag.partition("}")[2] for child in batch][:8] == [
        "PmtInfId", "PmtMtd", "NbOfTxs", "CtrlSum", "ReqdExctnDt", "Dbtr", "DbtrAcct", "DbtrAgt",
    ]  # fmt: skip
    rows = at(batch, "CdtTrfTxInf")
    amounts = [Decimal(one(row, "Amt/InstdAmt")) for row in rows]
    assert all(row.attrib == {"Ccy": "CNY"} for row in at(batch, "CdtTrfTxInf/Amt/InstdAmt"))
    for part in (head, batch):
        assert int(one(part, "NbOfTxs")) == len(rows) == made.payments == 2
        assert Decimal(one(part, "CtrlSum")) == sum(amounts) == Decimal(made.total_fen).scaleb(-2)
        assert len(one(head, "MsgId")) <= 35
    ids = [one(row, "PmtId/EndToEndId") for row in rows]
    assert len(set(ids)) == 2
    assert all(0 < len(name) <= 35 for name in ids)
    for row in rows:
        assert [child.tag.partition("}")[2] for child in row] == [
            "PmtId", "Amt", "CdtrAgt", "Cdtr", "CdtrAcct", "RmtInf",
        ]  # fmt: skip
        assert one(row, "CdtrAgt/FinInstnId/ClrSysMmbId/ClrSysId/Cd") == "CNAPS"
        assert len(one(row, "CdtrAgt/FinInstnId/ClrSysMmbId/MmbId")) == 12


def test_an_exchange_without_account_orders_nothing_and_what_was_ordered_is_not_credited(paid: House) -> None:
    with pytest.raises(NoOwnAccount):
        order(paid)
    bank(paid, "exchange")
    bank(paid, "hospital")
    order(paid)
    with paid.db() as db:
        (invoice,) = queries.invoices_of(db, exchange(paid)).rows
    with pytest.raises(SharesPaidOut):
        credit(paid, invoice)


@pytest.mark.parametrize("beside", ["order", "credit"])
def test_what_is_being_ordered_is_neither_ordered_nor_credited_beside(
    tmp_path: Path, either_url: str, beside: str
) -> None:
    with open_house(tmp_path / "house", either_url) as house, ThreadPoolExecutor(1) as pool:
        sold(house)
        invoice = billed(house)
        pay(house, invoice)
        for who in ("exchange", "hospital"):
            bank(house, who)
        with house.db() as db:
            first = orders.order_payments(db, exchange(house), house.clock.now())
            second = pool.submit(order, house) if beside == "order" else pool.submit(credit, house, invoice)
            with pytest.raises(TimeoutError):  # it waits for the first one
                second.result(timeout=1)
        with pytest.raises(NothingToPay if beside == "order" else SharesPaidOut):
            second.result(timeout=20)
        owed = [share.amount_fen for share in all_shares(house) if share.owner == house.cast["hospital"].id]
        with house.db() as db:
            assert [one.total_fen for one in orders_of(db, exchange(house)).rows] == [sum(owed)] == [first.total_fen]
        assert not any(share.void for share in all_shares(house))


def test_the_number_of_an_account_stays_out_of_the_log(paid: House) -> None:
    bank(paid, "hospital", account="6222999988887777")
    told = entries(paid, Tag.BANK_ACCOUNT_SET)
    assert "6222999988887777" not in str(told)
    assert len(told[-1]["facts"]["account_sha256"]) == 64


def statement(*rows: tuple[str, str, str], status: str = "<Sts><Cd>BOOK</Cd></Sts>") -> str:
    """(bank reference, amount, words) of each credit."""
    entries_ = "".join(
        f'<Ntry><Amt Ccy="CNY">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd>{status}<AcctSvcrRef>{reference}</AcctSvcrRef>'
        f"<NtryDtls><TxDtls><RmtInf><Ustrd>{words}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>"
        for reference, amount, words in rows
    )
    return f'<Document xmlns="{CAMT}"><BkToCstmrStmt><Stmt><Id>1</Id>{entries_}</Stmt></BkToCstmrStmt></Document>'


def together(*told: str) -> str:
    """One statement with the entries of several."""
    entries = [one[one.index("<Ntry>") : one.rindex("</Ntry>") + len("</Ntry>")] for one in told]
    return told[0].replace(entries[0], "".join(entries))


def take(house: House, text: str) -> list[tuple[str, str | None]]:
    with house.db() as db:
        found = statements.take_statement(db, exchange(house), text, house.clock.now())
        return [(one.outcome, one.invoice) for one in found]


def test_a_credit_that_names_the_invoice_pays_it_and_is_taken_once(house: House) -> None:
    sold(house)
    invoice = billed(house)
    amount = f"{Decimal(invoice.total_fen).scaleb(-2):.2f}"
    text = statement(("R1", amount, f"{invoice.number} thanks"), ("R2", "5.00", "gift"))
    assert take(house, text) == [("paid", invoice.id), ("no_invoice", None)]
    assert take(house, text) == [("taken_before", invoice.id), ("taken_before", None)]
    assert len(entries(house, Tag.BANK_ENTRY_TAKEN)) == 2
    assert "thanks" not in str(entries(house, Tag.BANK_ENTRY_TAKEN))


def test_what_is_not_booked_or_not_a_credit_is_left_alone() -> None:
    assert read_statement(statement(("R1", "1.00", "x"), status="<Sts>PDNG</Sts>")) == []
    assert read_statement(statement(("R1", "1.00", "x")).replace("CRDT", "DBIT")) == []
    assert read_statement(statement(("R1", "1.00", "x")).replace("CNY", "EUR")) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not xml",
        "<Document/>",
        statement(("R1", "1.001", "x")),
        statement(("R1", "much", "x")),
        statement(("R1", "1e400", "x")),
        statement(("R1", "-1.00", "x")),
        statement(("", "1.00", "x")),
        statement(("R" * 36, "1.00", "x")),
        '<!DOCTYPE a [<!ENTITY b "c">]>' + statement(("R1", "1.00", "&b;")),
        statement(("R1", "1.00", "x")).replace("camt.053", "camt.054"),
    ],
)
def test_a_statement_that_is_not_one_is_refused(text: str) -> None:
    with pytest.raises(UnreadableStatement):
        read_statement(text)
