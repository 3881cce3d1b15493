"""Refunds: what an exchange owes back is a liability until its bank confirms the transfer."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import SERVICE_ACTOR, Actor
from marketplace.kernel.canonical import Json
from marketplace.kernel.ids import new_id
from marketplace.ledger.rules import Dimensions
from marketplace.settlement.models import Invoice, Refund
from marketplace.settlement.postings import Booking, payment
from marketplace.settlement.returning import Returned, tell


def owe(db: Session, found: Invoice, cause: str, key: str, amount_fen: int, now: datetime) -> Refund:
    """Note that the issuer of an invoice owes its buyer so much back; the books hold it as `refunds` by then.

    cause: `overpayment`, `credit_note` or `deposit`; key: names the cause, which owes once.
    Records: settlement:refund_owed.
    """
    made = Refund(
        id=new_id("rfd"),
        issuer_id=found.issuer_id,
        buyer_id=found.buyer_id,
        invoice_id=found.id,
        cause=cause,
        cause_key=key,
        amount_fen=amount_fen,
        owed_at=now,
    )
    db.add(made)
    db.flush()
    record(db, SERVICE_ACTOR, Tag.REFUND_OWED, now, facts=_facts(made))
    return made


def owe_surplus(
    db: Session, found: Invoice, key: str, amount_fen: int, entry: str, booking: Booking, now: datetime
) -> None:
    """Owe back what was paid beyond an invoice.  Records: settlement:refund_owed.

    booking: gets what the caller enters into the books.
    """
    parties = {"buyer": found.buyer_id, "venue": found.issuer_id}
    draft = payment("payment.surplus", key, parties, {"amount": amount_fen}, entry=entry, at=now, about=Dimensions())  # type: ignore[arg-type]
    booking.drafts.append(draft)
    owe(db, found, "overpayment", key, amount_fen, now)


def confirm(
    db: Session, actor: Actor, refunds: list[Refund], bank_reference: str, booking: Booking, now: datetime
) -> None:
    """Note that the bank has carried refunds out; one that is paid already stays as it is.

    bank_reference: as `name_of_reference` gives it; booking: gets what the caller enters into the books.
    Records: settlement:refund_paid.
    """
    for one in refunds:
        db.refresh(one, with_for_update=True)
        if one.paid_at is not None:
            continue
        one.paid_at = now
        db.add(one)
        db.flush()
        entry = record(db, actor, Tag.REFUND_PAID, now, facts=_facts(one) | {"bank": bank_reference})
        parties = {"buyer": one.buyer_id, "venue": one.issuer_id}
        amounts, key = {"amount": one.amount_fen}, _paid_key(one)
        draft = payment("refund.paid", key, parties, amounts, entry=entry, at=now, about=Dimensions())  # type: ignore[arg-type]
        booking.drafts.append(draft)


def owe_again(
    db: Session, actor: Actor, refunds: list[Refund], bank_reference: str, booking: Booking, now: datetime
) -> None:
    """Note that transfers of refunds came back: each is owed as before, its buyer told, and the next order has it.

    bank_reference: as `name_of_reference` gives it; booking: gets what the caller enters into the books.
    Records: settlement:refund_owed.
    """
    for one in refunds:
        db.refresh(one, with_for_update=True)
        if one.order_id is None:
            continue
        booking.taken_back.append(_paid_key(one))
        back = Returned("refund", one.issuer_id, one.buyer_id, one.amount_fen, one.order_id, one.reference)
        one.order_id = one.reference = one.paid_at = None
        db.add(one)
        db.flush()
        entry = record(db, actor, Tag.REFUND_OWED, now, facts=_facts(one) | {"returned": bank_reference})
        tell(db, back, entry, now)


def _paid_key(one: Refund) -> str:
    return f"settlement:{one.id}:paid:{one.reference}"  # a transfer that came back is followed by another one


def _facts(one: Refund) -> Json:
    return {
        "refund": one.id,
        "issuer": one.issuer_id,
        "buyer": one.buyer_id,
        "invoice": one.invoice_id,
        "cause": one.cause,
        "amount_fen": one.amount_fen,
    }
