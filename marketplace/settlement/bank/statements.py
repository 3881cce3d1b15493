"""Bank statements, camt.053: credits pay the invoices whose number they name, debits confirm refunds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from xml.etree import ElementTree as ET

from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.canonical import Json, canonical
from marketplace.kernel.errors import Invalid
from marketplace.settlement import queries
from marketplace.settlement.bank.queries import LONGEST_ID, bank_entry, payment_of, untold
from marketplace.settlement.bouncing import bounce
from marketplace.settlement.models import BankEntry, Invoice
from marketplace.settlement.paying import name_of_reference, pay, pay_again
from marketplace.settlement.refunding import confirm, owe_again, told_by_bank
from marketplace.settlement.rules import NotTheExchange

LARGEST = 1 << 20
_NUMBER = re.compile(r"INV-[0-9]{4}-[0-9]{6}")
_CREDITS_IN_ONE = 500
_ACCOUNT = (("Acct", "Id", "IBAN"), ("Acct", "Id", "Othr", "Id"))
_OUR_IDS = ("EndToEndId", "PmtInfId", "MsgId")


class UnreadableStatement(Invalid):
    """The bank statement is not one that this service reads."""


@dataclass(frozen=True)
class Credit:
    """Money that came in, or with `out` went out.  reference: the bank's own, unique.

    words: remittance information and end-to-end id; names: what of our own messages it is about, by our ids.
    original: where it takes another entry back, the reference which that one had if the bank says the same.
    """

    reference: str
    amount_fen: int
    words: str
    out: bool = False
    names: frozenset[str] = frozenset()
    original: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of it: `paid`, `part_paid`, `overpaid`, `taken_before`, `no_invoice`; `refunded` of a debit.

    `confirmed`: the payment was entered by hand before; `reversed`: the bank took a payment back; `returned`: a
    transfer of ours came back.
    """

    reference: str
    amount_fen: int
    outcome: str
    invoice: str | None


def read_statement(text: str) -> list[Credit]:
    """What is booked in yuan in a camt.053 file of any version.  Raises UnreadableStatement.

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
    found = [
        credit
        for stated in root.iter(_in(root, "Stmt"))
        for entry in stated.iter(_in(root, "Ntry"))
        for credit in _credit(root, stated, entry)
    ]
    if len(found) > _CREDITS_IN_ONE:
        raise UnreadableStatement("too many credits in one file", expected=f"at most {_CREDITS_IN_ONE}")
    return found


def take_statement(db: Session, actor: Actor, text: str, now: datetime) -> list[Outcome]:
    """Take what a statement tells, each once however often it is sent; returns what became of each.

    A credit pays an invoice of the calling exchange whose number it names, whole or in part; what is too much is owed
    back.  Where a payment of the same sum was entered by hand, under whatever reference, it confirms that one.
    A debit confirms the refunds of its transfer, or of the whole payment order that it books; others are left alone.
    What the bank marks as a reversal undoes the payment or the confirmed refund that it is about.
    Raises NotTheExchange, UnreadableStatement.
    Records: settlement:bank_entry_taken for each, and what `pay`, `confirm`, `bounce` and `owe_again` record.
    """
    if not actor.has(Role.EXCHANGE_OPERATOR):
        raise NotTheExchange("only an exchange takes bank statements", got=", ".join(sorted(actor.roles)))
    taken = (_verb(one)(db, actor, one, now) for one in read_statement(text))
    return [one for one in taken if one is not None]


def _verb(one: Credit) -> Callable[[Session, Actor, Credit, datetime], Outcome | None]:
    if one.original is not None:
        return _reversed if one.out else _returned
    return _give if one.out else _take


def _take(db: Session, actor: Actor, one: Credit, now: datetime) -> Outcome:
    known = bank_entry(db, actor.participant, one.reference)
    if known is not None and _is_news(known, one):
        return _confirm(db, actor, known, one, now)
    if known is not None:
        return Outcome(one.reference, one.amount_fen, "taken_before", known.invoice_id)
    found = _invoice(db, actor.participant, one.words)
    if found is None:
        db.add(_row(actor.participant, one, "no_invoice", now))
        db.flush()
        return _told(db, actor, Outcome(one.reference, one.amount_fen, "no_invoice", None), now)
    queries.lock(db, found)
    known = bank_entry(db, actor.participant, one.reference)
    if known is not None:  # the same statement was taken beside, while this one waited for the invoice
        return Outcome(one.reference, one.amount_fen, "taken_before", known.invoice_id)
    if (entered := untold(db, found, one.amount_fen)) is not None:
        row = _row(actor.participant, one, "confirmed", now)
        row.invoice_id = found.id
        db.add(row)
        return _confirm(db, actor, entered, one, now)
    return _told(db, actor, Outcome(one.reference, one.amount_fen, _pay(db, actor, found, one, now), found.id), now)


def _is_news(known: BankEntry, one: Credit) -> bool:
    """Whether a payment that was entered by hand under the bank's own reference is told for the first time."""
    return known.by_hand and known.told_as is None and known.amount_fen == one.amount_fen


def _confirm(db: Session, actor: Actor, entered: BankEntry, one: Credit, now: datetime) -> Outcome:
    entered.told_as = one.reference
    db.add(entered)
    db.flush()
    return _told(db, actor, Outcome(one.reference, one.amount_fen, "confirmed", entered.invoice_id), now)


def _pay(db: Session, actor: Actor, found: Invoice, one: Credit, now: datetime) -> str:
    if found.state in {"issued", "overdue"} or found.bounced_fen:
        pay(db, actor, found, one.reference, one.amount_fen, now, by_hand=False)
    else:
        pay_again(db, actor, found, one.reference, one.amount_fen, now)
    taken = bank_entry(db, found.issuer_id, one.reference)
    assert taken is not None
    return taken.outcome


def _give(db: Session, actor: Actor, one: Credit, now: datetime) -> Outcome | None:
    """Confirm the refunds of a debit; None for one that carries none out."""
    if (known := bank_entry(db, actor.participant, one.reference)) is not None:
        return Outcome(one.reference, one.amount_fen, "taken_before", known.invoice_id)
    refunds = told_by_bank(db, actor.participant, set(one.names), one.amount_fen)
    if not refunds:
        return None
    about = refunds[0].invoice_id if len(refunds) == 1 else None
    row = _row(actor.participant, one, "refunded", now)
    row.invoice_id = about
    db.add(row)
    db.flush()
    confirm(db, actor, refunds, one.reference, now)
    return _told(db, actor, Outcome(one.reference, one.amount_fen, "refunded", about), now)


def _reversed(db: Session, actor: Actor, one: Credit, now: datetime) -> Outcome:
    """Take a payment back; where none of this sum is found, only note what the bank told."""
    if (known := bank_entry(db, actor.participant, one.reference)) is not None:
        return Outcome(one.reference, one.amount_fen, "taken_before", known.invoice_id)
    first = bank_entry(db, actor.participant, one.original or "")
    found = _invoice(db, actor.participant, one.words)
    if found is None and first is not None and first.invoice_id is not None:
        found = queries.invoice(db, first.invoice_id)
    row = _row(actor.participant, one, "reversed", now)
    row.invoice_id = found.id if found else None
    db.add(row)
    done = Outcome(one.reference, one.amount_fen, "reversed", row.invoice_id)
    if found is not None:
        queries.lock(db, found)
        if (taken := payment_of(db, found, one.amount_fen, one.original or "")) is not None:
            bounce(db, actor, found, taken, one.reference, _facts(done), now)
            return done
    elif first is not None and first.outcome == "no_invoice" and first.amount_fen == one.amount_fen:
        first.outcome = "reversed"
        db.add(first)
    db.flush()
    return _told(db, actor, done, now)


def _returned(db: Session, actor: Actor, one: Credit, now: datetime) -> Outcome:
    """Owe the refunds of a transfer again that came back; other transfers are only told."""
    if (known := bank_entry(db, actor.participant, one.reference)) is not None:
        return Outcome(one.reference, one.amount_fen, "taken_before", known.invoice_id)
    refunds = told_by_bank(db, actor.participant, set(one.names), one.amount_fen)
    row = _row(actor.participant, one, "returned", now)
    row.invoice_id = refunds[0].invoice_id if len(refunds) == 1 else None
    db.add(row)
    db.flush()
    owe_again(db, actor, refunds, one.reference, now)
    return _told(db, actor, Outcome(one.reference, one.amount_fen, "returned", row.invoice_id), now)


def _told(db: Session, actor: Actor, done: Outcome, now: datetime) -> Outcome:
    record(db, actor, Tag.BANK_ENTRY_TAKEN, now, facts=_facts(done))
    return done


def _facts(done: Outcome) -> Json:
    facts: Json = {"reference": done.reference, "amount_fen": done.amount_fen}
    return facts | {"outcome": done.outcome, "invoice": done.invoice}


def _invoice(db: Session, issuer: str, words: str) -> Invoice | None:
    named = sorted(set(_NUMBER.findall(words)))
    return queries.by_number(db, issuer, named[0]) if len(named) == 1 else None


def _row(issuer: str, one: Credit, outcome: str, now: datetime) -> BankEntry:
    return BankEntry(
        issuer_id=issuer, reference=one.reference, amount_fen=one.amount_fen, outcome=outcome, taken_at=now
    )


def _credit(root: ET.Element, stated: ET.Element, entry: ET.Element) -> Iterator[Credit]:
    way = entry.findtext(_in(root, "CdtDbtInd"))
    if way not in {"CRDT", "DBIT"} or not _booked(root, entry):
        return
    amount = entry.find(_in(root, "Amt"))
    if amount is None or amount.get("Ccy") != "CNY":
        return
    words = " ".join(
        (one.text or "") for name in ("Ustrd", "EndToEndId", "AddtlNtryInf") for one in entry.iter(_in(root, name))
    )
    names = frozenset((one.text or "") for name in _OUR_IDS for one in entry.iter(_in(root, name)))
    back = (entry.findtext(_in(root, "RvslInd")) or "").strip() in {"true", "1"}
    if way == "DBIT" and not back and not (names and _told_reference(root, entry)):
        return  # fees of the bank, and what was paid from elsewhere
    reference = _reference(root, stated, entry)
    known = name_of_reference(f"reversal of {reference}") if back else reference
    original = reference if back else None
    yield Credit(known, _fen(amount.text or ""), words, way == "DBIT", names, original)


def _booked(root: ET.Element, entry: ET.Element) -> bool:
    status = entry.find(_in(root, "Sts"))
    return status is not None and "BOOK" in {status.text, status.findtext(_in(root, "Cd"))}


def _told_reference(root: ET.Element, entry: ET.Element) -> str | None:
    return entry.findtext(_in(root, "AcctSvcrRef")) or entry.findtext(_in(root, "NtryRef"))


def _reference(root: ET.Element, stated: ET.Element, entry: ET.Element) -> str:
    found = _told_reference(root, entry)
    if not found or len(found) > LONGEST_ID:
        raise UnreadableStatement("a credit has no reference of the bank", expected="AcctSvcrRef of 1 to 35 characters")
    if entry.findtext(_in(root, "AcctSvcrRef")):
        return name_of_reference(found)
    # NtryRef is unique within one statement only: the next one may count from 1 again.
    statement = stated.findtext(_in(root, "Id"))
    if not statement:
        raise UnreadableStatement("a statement without id names its credits by NtryRef", expected="Id of the statement")
    account = [one.text for path in _ACCOUNT for one in stated.findall("/".join(_in(root, name) for name in path))]
    return name_of_reference(canonical([statement, account, found]).decode())


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
