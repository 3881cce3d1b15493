"""A payment, whole or in part: the books say so, and what is paid as a whole is settled down the waterfall."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json, sha256_hex
from marketplace.kernel.errors import Invalid
from marketplace.ledger.rules import Dimensions
from marketplace.settlement import queries
from marketplace.settlement.bank.queries import bank_entry, hold_bank
from marketplace.settlement.billing import record_invoice
from marketplace.settlement.chasing import let_go
from marketplace.settlement.locks import hold_agreements, hold_settled
from marketplace.settlement.models import BankEntry, Invoice
from marketplace.settlement.postings import Booking, payment
from marketplace.settlement.refunding import owe_surplus
from marketplace.settlement.rules import INVOICE, InvoiceState
from marketplace.settlement.settling import settle_line


class WrongAmount(Invalid):
    """The payment has no amount, or its reference paid something else."""


def pay(db: Session, actor: Actor, found: Invoice, reference: str, amount_fen: int, now: datetime) -> Invoice:
    """Take a payment that a person enters by hand, as `take_payment`; no statement has told it yet.

    Raises WrongAmount, WrongState, NotYourStep.  Records: what `take_payment` records, ledger:posted.
    """
    booking = Booking()
    take_payment(db, actor, found, reference, amount_fen, booking, now, by_hand=True)
    booking.enter(db, now)
    return found


def take_payment(
    db: Session,
    actor: Actor,
    found: Invoice,
    reference: str,
    amount_fen: int,
    booking: Booking,
    now: datetime,
    *,
    by_hand: bool = False,
) -> None:
    """Take a payment; the same bank reference and sum again changes nothing.

    A part leaves the invoice open for the rest; what is paid beyond it is owed back to the buyer.
    reference: as `name_of_reference` gives it; booking: gets what the caller enters into the books; by_hand: no
    statement has told it yet.  A credit that named no invoice is taken by its own reference and sum.  The agreements
    that the unpaid invoice held are let go on when it is paid as a whole.  Raises WrongAmount, WrongState, NotYourStep.
    Records: settlement:invoice_part_paid; or settlement:invoice_paid, settlement:shares_settled per line,
    negotiation:agreement_resumed, settlement:refund_owed.
    """
    hold_bank(db, found.issuer_id)
    queries.lock(db, found)
    known = bank_entry(db, found.issuer_id, reference)

    if known is not None and (known.invoice_id, known.amount_fen) == (found.id, amount_fen):
        return
    if known is not None and (known.outcome != "no_invoice" or known.amount_fen != amount_fen):
        raise WrongAmount("this reference paid something else", expected="another bank reference", got=reference)
    by_hand = by_hand and known is None  # a credit that named no invoice was told by the bank
    INVOICE.step(
        InvoiceState.ISSUED if found.bounced_fen else InvoiceState(found.state), InvoiceState.PAID, actor.roles
    )
    if amount_fen < 1:
        raise WrongAmount("a payment has an amount", expected="1 fen or more", got=f"{amount_fen} fen")
    if found.bounced_fen:
        _make_good(db, actor, found, reference, amount_fen, booking, now, by_hand=by_hand)
        return
    part, about = min(amount_fen, open_fen(found)), {"reference": reference, "amount_fen": amount_fen}

    found.received_fen += part
    db.add(found)
    outcome = "overpaid" if amount_fen > part else "part_paid" if open_fen(found) else "paid"
    db.merge(_taken(found, reference, amount_fen, outcome, now, by_hand=by_hand))
    db.flush()

    if open_fen(found):
        entry = record_invoice(db, actor, Tag.INVOICE_PART_PAID, found, now, about | {"open_fen": open_fen(found)})
        _book_whole(found, "payment.part", f"part:{reference}", part, entry, booking, now)
    else:
        entry = _close(db, actor, found, found.received_fen - part, about, booking, now)
    if amount_fen > part:
        owe_surplus(db, found, f"settlement:{found.id}:surplus:{reference}", amount_fen - part, entry, booking, now)


def open_fen(found: Invoice) -> int:
    """What is still asked for, fen; below zero where a credit note took more off than was left to pay."""
    return found.total_fen - found.credited_fen - found.received_fen


def pay_again(
    db: Session, actor: Actor, found: Invoice, reference: str, amount_fen: int, booking: Booking, now: datetime
) -> None:
    """Take a payment for an invoice that asks for nothing any more: all of it is owed back.

    booking: gets what the caller enters into the books.
    Records: settlement:invoice_part_paid, settlement:refund_owed.
    """
    about = {"reference": reference, "amount_fen": amount_fen, "open_fen": 0}
    entry = record_invoice(db, actor, Tag.INVOICE_PART_PAID, found, now, about)
    db.add(_taken(found, reference, amount_fen, "overpaid", now))
    db.flush()
    owe_surplus(db, found, f"settlement:{found.id}:surplus:{reference}", amount_fen, entry, booking, now)


def _make_good(
    db: Session,
    actor: Actor,
    found: Invoice,
    reference: str,
    amount_fen: int,
    booking: Booking,
    now: datetime,
    *,
    by_hand: bool,
) -> None:
    """Take a payment in place of one that the bank took back after the lines were settled, or credited."""
    part = min(amount_fen, found.bounced_fen)
    found.bounced_fen -= part
    # What was too much, and went back before its payment was taken back, is not asked for by the invoice.
    most = found.total_fen if found.paid_at is not None else found.total_fen - found.credited_fen
    found.received_fen = min(found.received_fen + part, most)
    db.add(found)
    outcome = "overpaid" if amount_fen > part else "part_paid" if found.bounced_fen else "paid"
    db.merge(_taken(found, reference, amount_fen, outcome, now, by_hand=by_hand))
    db.flush()
    about = {"reference": reference, "amount_fen": amount_fen, "open_fen": found.bounced_fen}
    entry = record_invoice(db, actor, Tag.INVOICE_PART_PAID, found, now, about)
    _book_whole(found, "payment.part", f"part:{reference}", part, entry, booking, now)
    if amount_fen > part:
        owe_surplus(db, found, f"settlement:{found.id}:surplus:{reference}", amount_fen - part, entry, booking, now)
    if not found.bounced_fen:
        lines = [one for one in queries.lines(db, found.id) if one.credited_by is None]
        hold_agreements(db, lines)
        let_go(db, lines, now)


def cover(db: Session, actor: Actor, found: Invoice, entry: str, booking: Booking, now: datetime) -> None:
    """After a credit note: close an invoice that its parts now cover, and owe back what they were too much.

    entry: of the credit note; booking: gets what the caller enters into the books.
    Records: what `take_payment` records.
    """
    surplus = -open_fen(found)
    if found.paid_at is not None or not found.received_fen or surplus < 0:
        return
    found.received_fen -= surplus
    db.add(found)
    if found.state == InvoiceState.CREDITED:
        _book_whole(found, "payment.applied", "applied", surplus, entry, booking, now)
    else:
        _close(db, actor, found, found.received_fen + surplus, {"covered_by_parts": True}, booking, now)
    if surplus:
        owe_surplus(db, found, f"settlement:{found.id}:surplus:{entry}", surplus, entry, booking, now)


def _close(
    db: Session, actor: Actor, found: Invoice, parts_fen: int, about: Json, booking: Booking, now: datetime
) -> str:
    """Settle every line of an invoice that is paid as a whole; returns the entry.

    parts_fen: what earlier payments have brought into the books for the invoice as a whole.
    """
    step = INVOICE.step(InvoiceState(found.state), InvoiceState.PAID, actor.roles)
    lines = [one for one in queries.lines(db, found.id) if one.credited_by is None]
    hold_settled(db, [found.id])
    found.state, found.paid_at = step.target, now
    db.add(found)
    db.flush()
    entry = record_invoice(db, actor, Tag(step.tag), found, now, about)
    _book_whole(found, "payment.applied", "applied", parts_fen, entry, booking, now)
    for line in lines:
        settle_line(db, found, line, entry, booking, now)
    let_go(db, lines, now)
    return entry


def _book_whole(found: Invoice, kind: str, what: str, fen: int, entry: str, booking: Booking, now: datetime) -> None:
    """Book what concerns an invoice as a whole: a part, or that the parts are booked to the lines instead."""
    if fen:
        parties = {"buyer": found.buyer_id, "venue": found.issuer_id}
        key = f"settlement:{found.id}:{what}"
        draft = payment(kind, key, parties, {"amount": fen}, entry=entry, at=now, about=Dimensions())  # type: ignore[arg-type]
        booking.drafts.append(draft)


def name_of_reference(reference: str) -> str:
    """What a bank's reference is known by here: words of a stranger do not enter the log.  The same gives the same."""
    return sha256_hex(reference.encode())[:32]


def _taken(
    found: Invoice, reference: str, amount_fen: int, outcome: str, now: datetime, *, by_hand: bool = False
) -> BankEntry:
    return BankEntry(
        issuer_id=found.issuer_id,
        reference=reference,
        invoice_id=found.id,
        amount_fen=amount_fen,
        outcome=outcome,
        by_hand=by_hand,
        taken_at=now,
    )
