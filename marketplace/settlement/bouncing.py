"""A payment that the bank took back: the books say so, and nothing of it is paid out until it is made good."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json
from marketplace.ledger.rules import Dimensions
from marketplace.plumbing import outbox
from marketplace.settlement import queries
from marketplace.settlement.bank.queries import withdrawable
from marketplace.settlement.billing import CHASE_TASK
from marketplace.settlement.models import BankEntry, Invoice
from marketplace.settlement.postings import Booking, payment, payment_key
from marketplace.settlement.rules import GRACE, InvoiceState


def bounce(
    db: Session,
    actor: Actor,
    found: Invoice,
    taken: BankEntry,
    reference: str,
    facts: Json,
    booking: Booking,
    now: datetime,
) -> None:
    """Take a payment of a held invoice back.

    What is still open of the invoice grows by it.  One that asks for nothing any more stays so, its shares and refunds
    wait until a credit makes it good, and after the grace its agreements do (`chasing.chase`).  What was too much, or
    was credited, is missing instead of owed back, unless its refund went to the bank already or is more than was taken.
    taken: the payment, once; reference: of the debit; facts: of the entry; booking: gets what the caller enters into
    the books.  Records: settlement:bank_entry_taken.
    """
    part, missing = _withdraw(db, found, taken, booking)
    taken.outcome = "reversed"
    found.received_fen = max(found.received_fen - missing, 0)
    if missing and found.state in {InvoiceState.PAID, InvoiceState.CREDITED}:
        _miss(db, found, missing, reference, now)
    db.add_all([taken, found])
    db.flush()

    entry = record(db, actor, Tag.BANK_ENTRY_TAKEN, now, facts=facts)
    if part:
        parties = {"buyer": found.buyer_id, "venue": found.issuer_id}
        about, amounts = f"settlement:{found.id}:bounced:{reference}", {"amount": part}
        draft = payment("payment.bounced", about, parties, amounts, entry=entry, at=now, about=Dimensions())  # type: ignore[arg-type]
        booking.drafts.append(draft)


def _withdraw(db: Session, found: Invoice, taken: BankEntry, booking: Booking) -> tuple[int, int]:
    """Owe no longer back what the bank took; returns (fen of it that were asked for; of these what is missing now)."""
    part = missing = taken.amount_fen
    for refund in withdrawable(db, found, f"settlement:{found.id}:surplus:{taken.reference}"):
        if refund.amount_fen > missing:
            continue
        refund.void = True
        db.add(refund)
        missing -= refund.amount_fen
        if refund.cause == "overpayment":
            part -= refund.amount_fen
            booking.taken_back.append(refund.cause_key)
        else:
            note = refund.cause_key.removeprefix("refund:")
            booking.taken_back.extend(payment_key(line, "refunded") for line in queries.credited_lines(db, note))
    return part, missing


def _miss(db: Session, found: Invoice, part: int, reference: str, now: datetime) -> None:
    """Wait for what an invoice lacks that asks for nothing by itself, and have it chased after the grace."""
    if not found.bounced_fen:
        found.suspended_at = None
    found.bounced_fen += part
    found.bounced_at = found.bounced_at or now
    due = max(max(found.due_at, found.bounced_at) + GRACE, now)
    outbox.enqueue(db, CHASE_TASK, {"invoice": found.id}, key=f"{found.id}:{reference}", now=now, due=due)
