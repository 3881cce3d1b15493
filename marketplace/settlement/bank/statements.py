"""Bank statements: credits of a camt.053 file mark the invoices paid whose number they name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from xml.etree import ElementTree as ET

from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.errors import Invalid
from marketplace.settlement import queries
from marketplace.settlement.models import BankEntry, Invoice
from marketplace.settlement.paying import name_of_reference, pay
from marketplace.settlement.rules import NotTheExchange

LARGEST = 1 << 20
_NUMBER = re.compile(r"INV-[0-9]{4}-[0-9]{6}")
_CREDITS_IN_ONE = 500


class UnreadableStatement(Invalid):
    """The bank statement is not one that this service reads."""


@dataclass(frozen=True)
class Credit:
    """Money that came in.  reference: the bank's own, unique; words: remittance information and end-to-end id."""

    reference: str
    amount_fen: int
    words: str


@dataclass(frozen=True)
class Outcome:
    """What became of a credit: `paid`, `taken_before`, `no_invoice`, `wrong_amount`, `not_open`."""

    reference: str
    amount_fen: int
    outcome: str
    invoice: str | None


def read_statement(text: str) -> list[Credit]:
    """The booked credits in yuan of a camt.053 file of any version.  Raises UnreadableStatement.

    Declarations of entities and document types are refused before anything is parsed.
    """
    if len(text.encode()) > LARGEST or "<!" in text.replace("<!--", ""):
        raise UnreadableStatement("no document type, no entities, at most 1 MiB", got=f"{len(text)} characters")
    try:
        root = ET.fromstring(text.encode())  # noqa: S314 - what makes XML dangerous was refused above
    except (ET.ParseError, ValueError, LookupError) as error:
        raise UnreadableStatement("the statement is not well-formed XML", expected="camt.053") from error
    if not re.fullmatch(r"\{urn:iso:std:iso:20022:tech:xsd:camt\.053\.001\.[0-9]{2}\}Document", root.tag):
        raise UnreadableStatement("another kind of message", expected="camt.053.001.xx", got=root.tag[:80])
    found = [credit for entry in root.iter(_in(root, "Ntry")) for credit in _credit(root, entry)]
    if len(found) > _CREDITS_IN_ONE:
        raise UnreadableStatement("too many credits in one file", expected=f"at most {_CREDITS_IN_ONE}")
    return found


def take_statement(db: Session, actor: Actor, text: str, now: datetime) -> list[Outcome]:
    """Take every credit of a statement, each once however often it is sent; returns what became of each.

    A credit pays an invoice of the calling exchange whose number it names and whose open amount it is.
    Raises NotTheExchange, UnreadableStatement.
    Records: settlement:bank_entry_taken per credit, and what `pay` records.
    """
    if not actor.has(Role.EXCHANGE_OPERATOR):
        raise NotTheExchange("only an exchange takes bank statements", got=", ".join(sorted(actor.roles)))
    return [_take(db, actor, one, now) for one in read_statement(text)]


def _take(db: Session, actor: Actor, one: Credit, now: datetime) -> Outcome:
    if (known := queries.bank_entry(db, actor.participant, one.reference)) is not None:
        return Outcome(one.reference, one.amount_fen, "taken_before", known.invoice_id)
    found = _invoice(db, actor.participant, one.words)
    outcome = _pay(db, actor, found, one, now) if found is not None else "no_invoice"
    paid = found.id if found is not None and outcome == "paid" else None
    if paid is None:
        db.add(_row(actor.participant, one, outcome, now))
        db.flush()
    facts = {"reference": one.reference, "amount_fen": one.amount_fen, "outcome": outcome, "invoice": paid}
    record(db, actor, Tag.BANK_ENTRY_TAKEN, now, facts=facts)
    return Outcome(one.reference, one.amount_fen, outcome, paid)


def _pay(db: Session, actor: Actor, found: Invoice, one: Credit, now: datetime) -> str:
    queries.lock(db, found)
    if found.state not in {"issued", "overdue"}:
        return "not_open"
    if one.amount_fen != found.total_fen - found.credited_fen:
        return "wrong_amount"
    pay(db, actor, found, one.reference, one.amount_fen, now)
    return "paid"


def _invoice(db: Session, issuer: str, words: str) -> Invoice | None:
    named = sorted(set(_NUMBER.findall(words)))
    return queries.by_number(db, issuer, named[0]) if len(named) == 1 else None


def _row(issuer: str, one: Credit, outcome: str, now: datetime) -> BankEntry:
    return BankEntry(
        issuer_id=issuer, reference=one.reference, amount_fen=one.amount_fen, outcome=outcome, taken_at=now
    )


def _credit(root: ET.Element, entry: ET.Element) -> Iterator[Credit]:
    if entry.findtext(_in(root, "CdtDbtInd")) != "CRDT" or not _booked(root, entry):
        return
    amount = entry.find(_in(root, "Amt"))
    if amount is None or amount.get("Ccy") != "CNY":
        return
    words = " ".join(
        (one.text or "") for name in ("Ustrd", "EndToEndId", "AddtlNtryInf") for one in entry.iter(_in(root, name))
    )
    yield Credit(_reference(root, entry), _fen(amount.text or ""), words)


def _booked(root: ET.Element, entry: ET.Element) -> bool:
    status = entry.find(_in(root, "Sts"))
    return status is not None and "BOOK" in {status.text, status.findtext(_in(root, "Cd"))}


def _reference(root: ET.Element, entry: ET.Element) -> str:
    found = entry.findtext(_in(root, "AcctSvcrRef")) or entry.findtext(_in(root, "NtryRef"))
    if not found or len(found) > 35:
        raise UnreadableStatement("a credit has no reference of the bank", expected="AcctSvcrRef of 1 to 35 characters")
    return name_of_reference(found)


def _fen(text: str) -> int:
    try:
        fen = Decimal(text) * 100
        whole = int(fen)
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise UnreadableStatement(
            "an amount is not a number", expected="yuan with two places", got=text[:40]
        ) from error
    if fen != whole or not 0 < whole <= 10**15:
        raise UnreadableStatement("an amount is finer than one fen or out of range", got=text[:40])
    return whole


def _in(root: ET.Element, local: str) -> str:
    return f"{root.tag.partition('}')[0]}}}{local}"
