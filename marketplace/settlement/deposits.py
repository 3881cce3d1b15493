"""Deposits in escrow: what an exchange holds as security goes back once, when nothing is left to secure."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, select

from marketplace.ledger import queries as books
from marketplace.ledger.rules import Dimensions
from marketplace.negotiation.models import Agreement
from marketplace.settlement import queries
from marketplace.settlement.models import InvoiceLine, Outcome
from marketplace.settlement.postings import Booking, payment, payment_key
from marketplace.settlement.refunding import owe
from marketplace.settlement.rules import OutcomeState


def due_back(db: Session, agreement_id: str, booking: Booking) -> bool:
    """Whether nothing is left to secure: the target was missed, or the price is paid or was credited.

    booking: what enters the books with it.
    """
    found = db.get(Outcome, agreement_id, populate_existing=True)
    if found is None or found.state != OutcomeState.SETTLED:
        return False
    rows = select(InvoiceLine).where(InvoiceLine.agreement_id == agreement_id, InvoiceLine.kind == queries.SUCCESS)
    price = db.exec(rows).first()
    if not found.met or price is None:
        return not found.met
    return price.credited_by is not None or booking.holds(db, payment_key(price, "paid"))


def returned(db: Session, line: InvoiceLine) -> bool:
    """Whether a line is a deposit that went back; the line is held, so that it does not go back meanwhile."""
    if line.kind != queries.DEPOSIT:
        return False
    db.refresh(line, with_for_update=True)
    return books.by_key(db, payment_key(line, "returned")) is not None


def return_deposit(db: Session, agreement: Agreement, entry: str, booking: Booking, now: datetime) -> int:
    """Owe the deposit of an agreement back if it was paid; returns the fen.  A second time changes nothing.

    One that is paid later goes back with that payment, `due_back`; one that a credit note took back is not returned.

    entry: log entry of the cause; booking: gets what the caller enters into the books.
    Records: settlement:refund_owed.
    """
    rows = select(InvoiceLine).where(InvoiceLine.agreement_id == agreement.id, InvoiceLine.kind == queries.DEPOSIT)
    # Held: a credit note for the deposit may be made at the same moment.
    line = db.exec(rows.with_for_update().execution_options(populate_existing=True)).first()

    if line is None or line.credited_by is not None or not booking.holds(db, payment_key(line, "paid")):
        return 0
    if booking.holds(db, payment_key(line, "returned")):
        return 0
    billed = queries.invoice(db, line.invoice_id)
    parties = {"buyer": agreement.buyer_id, "venue": billed.issuer_id}
    about = Dimensions(asset=line.asset_id, agreement=agreement.id)
    key, amounts = payment_key(line, "returned"), {"amount": line.price_fen}
    draft = payment("escrow.return", key, parties, amounts, entry=entry, at=now, about=about)  # type: ignore[arg-type]

    booking.drafts.append(draft)
    owe(db, billed, "deposit", key, line.price_fen, now)
    return line.price_fen
