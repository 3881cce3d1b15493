"""Payment orders: what an exchange owes goes to its bank as one ISO 20022 file, each share and each refund once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import Protocol
from xml.etree import ElementTree as ET

from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.canonical import sha256_hex
from marketplace.kernel.clock import CHINA, timestamp
from marketplace.kernel.errors import Conflict
from marketplace.kernel.ids import new_id
from marketplace.settlement import queries
from marketplace.settlement.bank.queries import (
    LONGEST_BEGINNING,
    LONGEST_ID,
    bank_account,
    bounced_lines,
    hold_bank,
    unordered_refunds,
)
from marketplace.settlement.models import BankAccount, PaymentOrder, Refund, Share
from marketplace.settlement.rules import NotTheExchange

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"
_LONGEST_NAME, _LONGEST_WORDS = 140, 140


class NothingToPay(Conflict):
    """Nothing waits for payment."""


class NoOwnAccount(Conflict):
    """Whoever pays has not said from which account."""


@dataclass(frozen=True)
class Transfer:
    """One credit transfer.  reference: at most 35 characters, comes back on the statement."""

    reference: str
    to: BankAccount
    amount_fen: int
    words: str


class PaymentProvider(Protocol):
    """Whoever carries payments out.  message: what it is told, kept as it is."""

    def message(self, order_id: str, debtor: BankAccount, transfers: Sequence[Transfer], now: datetime) -> str: ...


def order_payments(
    db: Session, actor: Actor, now: datetime, *, provider: PaymentProvider | None = None
) -> PaymentOrder:
    """Order every share and refund that waits and whose owner has a bank account; one transfer to an owner or refund.

    Each is in one order at most; what was settled of a payment that the bank took back waits.
    provider: who carries them out, None = the bank's file.
    Raises NotTheExchange, NoOwnAccount, NothingToPay.  Records: settlement:payments_ordered.
    """
    if not actor.has(Role.EXCHANGE_OPERATOR):
        raise NotTheExchange("only an exchange orders payments", got=", ".join(sorted(actor.roles)))
    hold_bank(db, actor.participant)
    debtor = own_account(db, actor)
    bounced = bounced_lines(db, actor.participant)
    waiting = [one for one in queries.unpaid_shares(db, actor.participant) if one[0].line_id not in bounced]
    back = unordered_refunds(db, actor.participant)
    if not (waiting or back):
        raise NothingToPay(
            "no share and no refund waits for payment", expected="a paid invoice with owners who have a bank account"
        )

    order_id = new_id("pay")
    transfers = _transfers(order_id, waiting, back)
    made = place(db, actor, order_id, debtor, transfers, provider, now)
    to_owner = {one.to.owner: one.reference for one in transfers[: len(transfers) - len(back)]}
    for share, _ in waiting:
        share.order_id, share.reference = made.id, to_owner[share.owner]
        db.add(share)
    for (refund, _), transfer in zip(back, transfers[len(transfers) - len(back) :], strict=True):
        refund.order_id, refund.reference = made.id, transfer.reference
        db.add(refund)
    db.flush()

    record_order(db, actor, made, now)
    return made


def own_account(db: Session, actor: Actor) -> BankAccount:
    """The account from which the caller pays.  Raises NoOwnAccount."""
    found = bank_account(db, actor.participant)
    if found is None:
        raise NoOwnAccount("say first from which account you pay", action="POST /v1/bank-accounts")
    return found


def place(
    db: Session,
    actor: Actor,
    order_id: str,
    debtor: BankAccount,
    transfers: Sequence[Transfer],
    provider: PaymentProvider | None,
    now: datetime,
) -> PaymentOrder:
    """Keep a payment order with what its provider is told, None = the bank's file; the caller records it."""
    message = (provider or BankFile()).message(order_id, debtor, transfers, now)
    return _keep(db, actor, order_id, transfers, message, now)


def record_order(db: Session, actor: Actor, made: PaymentOrder, now: datetime) -> None:
    """Write the entry of a payment order.  Records: settlement:payments_ordered."""
    facts = {"order": made.id, "payments": made.payments, "total_fen": made.total_fen, "sha256": made.sha256}
    record(db, actor, Tag.PAYMENTS_ORDERED, now, facts=facts)


class BankFile:
    """The default provider: a customer credit transfer initiation, pain.001.001.09, for a bank to import."""

    def message(self, order_id: str, debtor: BankAccount, transfers: Sequence[Transfer], now: datetime) -> str:
        """The file, UTF-8 with its declaration; control sums over all transfers, amounts in yuan with two places."""
        ET.register_namespace("", NAMESPACE)
        document = ET.Element(_name("Document"))
        root = _under(document, "CstmrCdtTrfInitn")
        head = _under(root, "GrpHdr")
        _under(head, "MsgId", order_id[:LONGEST_ID])
        _under(head, "CreDtTm", timestamp(now))
        _sums(head, transfers)
        _under(_under(head, "InitgPty"), "Nm", debtor.holder[:_LONGEST_NAME])

        batch = _under(root, "PmtInf")
        _under(batch, "PmtInfId", order_id[:LONGEST_ID])
        _under(batch, "PmtMtd", "TRF")
        _sums(batch, transfers)
        _under(_under(batch, "ReqdExctnDt"), "Dt", now.astimezone(CHINA).date().isoformat())
        _under(_under(batch, "Dbtr"), "Nm", debtor.holder[:_LONGEST_NAME])
        _account(batch, "DbtrAcct", debtor)
        _agent(batch, "DbtrAgt", debtor)
        for one in transfers:
            _transfer(batch, one)
        return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(document, encoding="unicode")


def _transfers(
    order_id: str, shares: Sequence[tuple[Share, BankAccount]], refunds: Sequence[tuple[Refund, BankAccount]]
) -> list[Transfer]:
    """One transfer to each owner of shares, then one for each refund, which the bank's statement confirms by name."""
    owed = []
    for _, group in groupby(shares, lambda one: one[0].owner):
        own = list(group)
        total = sum(share.amount_fen for share, _ in own)
        owed.append((own[0][1], total, f"data sales, {len(own)} shares"))
    owed += [(account, one.amount_fen, f"refund {one.id}") for one, account in refunds]
    return [Transfer(reference(order_id, at), *one) for at, one in enumerate(owed, start=1)]


def reference(order_id: str, at: int) -> str:
    """The end-to-end id of a transfer by its place in an order, from 1; at most 35 characters."""
    return f"{order_id[:LONGEST_BEGINNING]}-{at:05d}"


def yuan(fen: int) -> str:
    """`12.30`: how amounts stand in the file."""
    return f"{Decimal(fen).scaleb(-2):.2f}"


def _keep(
    db: Session, actor: Actor, order_id: str, transfers: Sequence[Transfer], message: str, now: datetime
) -> PaymentOrder:
    made = PaymentOrder(
        id=order_id,
        issuer_id=actor.participant,
        payments=len(transfers),
        total_fen=sum(one.amount_fen for one in transfers),
        sha256=sha256_hex(message.encode()),
        message=message,
        made_at=now,
    )
    db.add(made)
    db.flush()
    return made


def _transfer(batch: ET.Element, one: Transfer) -> None:
    row = _under(batch, "CdtTrfTxInf")
    _under(_under(row, "PmtId"), "EndToEndId", one.reference)
    amount = _under(_under(row, "Amt"), "InstdAmt", yuan(one.amount_fen))
    amount.set("Ccy", "CNY")
    _agent(row, "CdtrAgt", one.to)
    _under(_under(row, "Cdtr"), "Nm", one.to.holder[:_LONGEST_NAME])
    _account(row, "CdtrAcct", one.to)
    _under(_under(row, "RmtInf"), "Ustrd", one.words[:_LONGEST_WORDS])


def _sums(parent: ET.Element, transfers: Sequence[Transfer]) -> None:
    _under(parent, "NbOfTxs", str(len(transfers)))
    _under(parent, "CtrlSum", yuan(sum(one.amount_fen for one in transfers)))


def _account(parent: ET.Element, name: str, account: BankAccount) -> None:
    _under(_under(_under(_under(parent, name), "Id"), "Othr"), "Id", account.account)


def _agent(parent: ET.Element, name: str, account: BankAccount) -> None:
    member = _under(_under(_under(parent, name), "FinInstnId"), "ClrSysMmbId")
    _under(_under(member, "ClrSysId"), "Cd", "CNAPS")
    _under(member, "MmbId", account.bank)


def _under(parent: ET.Element, name: str, text: str | None = None) -> ET.Element:
    made = ET.SubElement(parent, _name(name))
    made.text = text
    return made


def _name(local: str) -> str:
    return f"{{{NAMESPACE}}}{local}"
