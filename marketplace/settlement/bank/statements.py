"""Bank statements: credits pay the invoices whose number they name, debits confirm what was ordered from the bank."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.canonical import Json
from marketplace.settlement import queries
from marketplace.settlement.bank.camt import Credit, read_statement
from marketplace.settlement.bank.cancelling import CONTESTED, contest, contested_by, uncontest
from marketplace.settlement.bank.carrying import confirm, owe_again, told_by_bank
from marketplace.settlement.bank.queries import bank_entry, hold_bank, payment_of, untold
from marketplace.settlement.bouncing import bounce
from marketplace.settlement.locks import hold_settled
from marketplace.settlement.models import BankEntry, Invoice
from marketplace.settlement.paying import pay_again, take_payment
from marketplace.settlement.postings import Booking
from marketplace.settlement.rules import NotTheExchange

_NUMBER = re.compile(r"INV-[0-9]{4}-[0-9]{6}")


@dataclass(frozen=True)
class Outcome:
    """What became of it: `paid`, `part_paid`, `overpaid`, `taken_before`, `no_invoice`.

    `other_sum`: its reference was taken before with another sum, nothing changes and a person has to look.
    Of a debit `refunded`, or `paid_out` where it paid others than buyers.  `confirmed`: the payment was entered by hand
    before; `reversed`: the bank took a payment back; `returned`: a transfer of ours came back; `order_cancelled`: the
    bank carried out what was cancelled, nothing is confirmed until a person resolves the order.
    """

    reference: str
    amount_fen: int
    outcome: str
    invoice: str | None


def take_statement(db: Session, actor: Actor, text: str, now: datetime) -> list[Outcome]:
    """Take what a statement tells, each once however often it is sent; returns what became of each.

    A credit pays an invoice of the calling exchange whose number it names, whole or in part; what is too much is owed
    back.  Where a payment of the same sum was entered by hand, under whatever reference, it confirms that one.
    A debit confirms what its transfer pays, or the whole payment order that it books; others are left alone.  What the
    bank marks as a reversal undoes the payment that it is about, or makes what a transfer paid owed again.
    Of a provider's statement only what is about its own payment orders is taken; nothing else of it is kept.
    Raises NotTheExchange, UnreadableStatement.
    Records: settlement:bank_entry_taken for each, and what `take_payment`, `confirm`, `bounce` and `owe_again` record;
    ledger:posted, all in the end.
    """
    if not (actor.has(Role.EXCHANGE_OPERATOR) or actor.has(Role.PROVIDER)):
        raise NotTheExchange(
            "only an exchange, and a provider for what it ordered, takes bank statements",
            got=", ".join(sorted(actor.roles)),
        )
    told = read_statement(text, ordered_only=not actor.has(Role.EXCHANGE_OPERATOR))
    hold_bank(db, actor.participant)  # the same told beside, or by hand, is known here or comes after
    hold_settled(db, _paid_by(db, actor.participant, told))
    booking = Booking()
    taken = [_taken(db, actor, one, booking, now) for one in told]
    booking.enter(db, now)
    return [one for one in taken if one is not None]


def _taken(db: Session, actor: Actor, one: Credit, booking: Booking, now: datetime) -> Outcome | None:
    if one.original is not None:
        return _reversed(db, actor, one, booking, now) if one.out else _returned(db, actor, one, booking, now)
    return _give(db, actor, one, booking, now) if one.out else _take(db, actor, one, booking, now)


def _take(db: Session, actor: Actor, one: Credit, booking: Booking, now: datetime) -> Outcome:
    known = bank_entry(db, actor.participant, one.reference)
    if known is not None and _is_news(known, one):
        return _confirm(db, actor, known, one, now)
    if known is not None:
        return _before(known, one)
    found = _invoice(db, actor.participant, one.words)
    if found is None:
        db.add(_row(actor.participant, one, "no_invoice", now))
        db.flush()
        return _told(db, actor, Outcome(one.reference, one.amount_fen, "no_invoice", None), now)
    queries.lock(db, found)
    known = bank_entry(db, actor.participant, one.reference)
    if known is not None:  # the same statement was taken beside, while this one waited for the invoice
        return _before(known, one)
    if (entered := untold(db, found, one.amount_fen)) is not None:
        row = _row(actor.participant, one, "confirmed", now)
        row.invoice_id = found.id
        db.add(row)
        return _confirm(db, actor, entered, one, now)
    outcome = _pay(db, actor, found, one, booking, now)
    return _told(db, actor, Outcome(one.reference, one.amount_fen, outcome, found.id), now)


def _is_news(known: BankEntry, one: Credit) -> bool:
    """Whether a payment that was entered by hand under the bank's own reference is told for the first time."""
    return known.by_hand and known.told_as is None and known.amount_fen == one.amount_fen


def _before(known: BankEntry, one: Credit) -> Outcome:
    outcome = "taken_before" if known.amount_fen == one.amount_fen else "other_sum"
    return Outcome(one.reference, one.amount_fen, outcome, known.invoice_id)


def _confirm(db: Session, actor: Actor, entered: BankEntry, one: Credit, now: datetime) -> Outcome:
    entered.told_as = one.reference
    db.add(entered)
    db.flush()
    return _told(db, actor, Outcome(one.reference, one.amount_fen, "confirmed", entered.invoice_id), now)


def _pay(db: Session, actor: Actor, found: Invoice, one: Credit, booking: Booking, now: datetime) -> str:
    if found.state in {"issued", "overdue"} or found.bounced_fen:
        take_payment(db, actor, found, one.reference, one.amount_fen, booking, now)
    else:
        pay_again(db, actor, found, one.reference, one.amount_fen, booking, now)
    taken = bank_entry(db, found.issuer_id, one.reference)
    assert taken is not None
    return taken.outcome


def _give(db: Session, actor: Actor, one: Credit, booking: Booking, now: datetime) -> Outcome | None:
    """Confirm what a debit paid; None for one that carries out nothing of ours."""
    known = bank_entry(db, actor.participant, one.reference)
    if known is not None and known.outcome != CONTESTED:
        return Outcome(one.reference, one.amount_fen, "taken_before", known.invoice_id)
    carried = told_by_bank(db, actor.participant, one.names, one.amount_fen)
    if not carried:
        return _contested(db, actor, one, known, now)
    row = known or _row(actor.participant, one, carried.outcome, now)
    row.outcome, row.invoice_id = carried.outcome, carried.invoice
    db.add(row)
    db.flush()
    confirm(db, actor, carried, one.reference, booking, now)
    return _told(db, actor, Outcome(one.reference, one.amount_fen, row.outcome, row.invoice_id), now)


def _contested(db: Session, actor: Actor, one: Credit, known: BankEntry | None, now: datetime) -> Outcome | None:
    """Note that the bank carried a cancelled order out, which a person resolves; None for what is not ours."""
    if known is not None:
        return Outcome(one.reference, one.amount_fen, "taken_before", known.invoice_id)
    if (cancelled := contested_by(db, actor.participant, one.names)) is None:
        return None
    db.add(_row(actor.participant, one, CONTESTED, now))
    contest(db, cancelled, one)
    return _told(db, actor, Outcome(one.reference, one.amount_fen, CONTESTED, None), now, order=cancelled.id)


def _reversed(db: Session, actor: Actor, one: Credit, booking: Booking, now: datetime) -> Outcome:
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
            bounce(db, actor, found, taken, one.reference, _facts(done), booking, now)
            return done
    elif first is not None and first.outcome == "no_invoice" and first.amount_fen == one.amount_fen:
        first.outcome = "reversed"
        db.add(first)
    db.flush()
    return _told(db, actor, done, now)


def _returned(db: Session, actor: Actor, one: Credit, booking: Booking, now: datetime) -> Outcome | None:
    """Owe again what a transfer paid that came back; one that nobody knows is only told, of a provider left alone."""
    if (known := bank_entry(db, actor.participant, one.reference)) is not None:
        return Outcome(one.reference, one.amount_fen, "taken_before", known.invoice_id)
    carried = told_by_bank(db, actor.participant, one.names, one.amount_fen)
    cancelled = None if carried else contested_by(db, actor.participant, one.names)
    if not (carried or cancelled or actor.has(Role.EXCHANGE_OPERATOR)):
        return None
    row = _row(actor.participant, one, "returned", now)
    row.invoice_id = carried.invoice
    db.add(row)
    db.flush()
    if cancelled:
        uncontest(db, cancelled, one)
    owe_again(db, actor, carried, one.reference, booking, now)
    return _told(db, actor, Outcome(one.reference, one.amount_fen, "returned", row.invoice_id), now)


def _told(db: Session, actor: Actor, done: Outcome, now: datetime, *, order: str | None = None) -> Outcome:
    """Record what became of it.  order: the cancelled one that it is about."""
    record(db, actor, Tag.BANK_ENTRY_TAKEN, now, facts=_facts(done) | ({"order": order} if order else {}))
    return done


def _facts(done: Outcome) -> Json:
    facts: Json = {"reference": done.reference, "amount_fen": done.amount_fen}
    return facts | {"outcome": done.outcome, "invoice": done.invoice}


def _invoice(db: Session, issuer: str, words: str) -> Invoice | None:
    named = sorted(set(_NUMBER.findall(words)))
    return queries.by_number(db, issuer, named[0]) if len(named) == 1 else None


def _paid_by(db: Session, issuer: str, told: Sequence[Credit]) -> list[str]:
    """The invoices that what came in is for."""
    credits_ = (one for one in told if not one.out and one.original is None)
    named = (_invoice(db, issuer, one.words) for one in credits_)
    return sorted({one.id for one in named if one is not None})


def _row(issuer: str, one: Credit, outcome: str, now: datetime) -> BankEntry:
    return BankEntry(
        issuer_id=issuer, reference=one.reference, amount_fen=one.amount_fen, outcome=outcome, taken_at=now
    )
