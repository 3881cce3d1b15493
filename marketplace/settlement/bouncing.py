"""A payment that the bank took back: the books say so, and nothing of it is paid out until it is made good."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json
from marketplace.ledger.rules import Dimensions
from marketplace.plumbing import outbox
from marketplace.settlement.bank.queries import refund_for
from marketplace.settlement.billing import CHASE_TASK
from marketplace.settlement.models import BankEntry, Invoice
from marketplace.settlement.postings import Booking, payment
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
    wait until a credit makes it good, and after the grace its agreements do (`chasing.chase`).  What was too much is
    no longer owed back, unless its refund went to the bank already.
    taken: the payment, once; reference: of the debit; facts: of the entry; booking: gets what the caller enters into
    the books.  Records: settlement:bank_entry_taken.
    """
    key = f"settlement:{found.id}:surplus:{taken.reference}"
    refund = refund_for(db, key)
    withdrawn = refund is not None and refund.order_id is None

    part = taken.amount_fen
    if refund is not None and withdrawn:
        part -= refund.amount_fen
        refund.void = True
        db.add(refund)
    taken.outcome = "reversed"
    found.received_fen = max(found.received_fen - part, 0)
    if found.state in {InvoiceState.PAID, InvoiceState.CREDITED}:
        _miss(db, found, part, reference, now)
    db.add_all([taken, found])
    db.flush()

    entry = record(db, actor, Tag.BANK_ENTRY_TAKEN, now, facts=facts)
    if part:
        parties = {"buyer": found.buyer_id, "venue": found.issuer_id}
        about, amounts = f"settlement:{found.id}:bounced:{reference}", {"amount": part}
        draft = payment("payment.bounced", about, parties, amounts, entry=entry, at=now, about=Dimensions())  # type: ignore[arg-type]
        booking.drafts.append(draft)
    if withdrawn:
        booking.taken_back.append(key)


def _miss(db: Session, found: Invoice, part: int, reference: str, now: datetime) -> None:
    """Wait for what an invoice lacks that asks for nothing by itself, and have it chased after the grace."""
    if not found.bounced_fen:
        found.suspended_at = None
    found.bounced_fen += part
    due = max(found.due_at, now) + GRACE
    outbox.enqueue(db, CHASE_TASK, {"invoice": found.id}, key=f"{found.id}:{reference}", now=now, due=due)
