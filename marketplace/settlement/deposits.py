"""Deposits in escrow: what an exchange holds as security goes back once, when nothing is left to secure."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, select

from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.ledger import queries as books
from marketplace.ledger import service as ledger
from marketplace.ledger.rules import Dimensions
from marketplace.negotiation.models import Agreement
from marketplace.settlement import queries
from marketplace.settlement.models import InvoiceLine
from marketplace.settlement.postings import payment, payment_key


def return_deposit(db: Session, agreement: Agreement, entry: str, now: datetime) -> int:
    """Give back the deposit of an agreement if it was paid; returns the fen.  A second time changes nothing.

    entry: log entry of the cause.  Records: ledger:posted.
    """
    rows = select(InvoiceLine).where(InvoiceLine.agreement_id == agreement.id, InvoiceLine.kind == queries.DEPOSIT)
    line = db.exec(rows).first()

    if line is None or line.credited_by is not None or books.by_key(db, payment_key(line, "paid")) is None:
        return 0
    if books.by_key(db, payment_key(line, "returned")) is not None:
        return 0
    parties = {"buyer": agreement.buyer_id, "venue": queries.invoice(db, line.invoice_id).issuer_id}
    about = Dimensions(asset=line.asset_id, agreement=agreement.id)
    key, amounts = payment_key(line, "returned"), {"amount": line.price_fen}
    draft = payment("escrow.return", key, parties, amounts, entry=entry, at=now, about=about)  # type: ignore[arg-type]

    ledger.post(db, SERVICE_ACTOR, draft, now)
    return line.price_fen
