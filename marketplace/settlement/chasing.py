"""What the clock does with an unpaid invoice: overdue at its due date, after 14 more days its agreements are held.

They are held as well 14 days after the bank took a payment back that nobody has made good.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag
from marketplace.kernel.actor import SERVICE, SERVICE_ACTOR
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation import stopping
from marketplace.negotiation.succession import queries as succession
from marketplace.plumbing.epochs import Stop
from marketplace.settlement import queries, rules
from marketplace.settlement.bank.queries import hold_bank
from marketplace.settlement.billing import record_invoice
from marketplace.settlement.locks import hold_agreements
from marketplace.settlement.models import Invoice, InvoiceLine
from marketplace.settlement.rules import INVOICE, InvoiceState


def chase(db: Session, invoice_id: str, now: datetime) -> Invoice:
    """Do what it is time for with an invoice; every step once, however often it is asked for.

    Uses of the agreements it bills stop until it is paid, as when a report of use is missing.
    Records: settlement:invoice_overdue, negotiation:agreement_suspended.
    """
    found = queries.invoice(db, invoice_id)
    hold_bank(db, found.issuer_id)  # a statement holds agreements of several invoices
    queries.lock(db, found)

    target = rules.follows(InvoiceState(found.state), found.due_at, now)
    if target != found.state:
        step = INVOICE.step(InvoiceState(found.state), target, [SERVICE])
        found.state, found.overdue_at = step.target, now
        db.add(found)
        record_invoice(db, SERVICE_ACTOR, Tag(step.tag), found, now, {})
    missing = _missing_since(found)
    if missing is not None and found.suspended_at is None and now >= missing + rules.GRACE:
        _hold(db, found, now)
    return found


def _missing_since(found: Invoice) -> datetime | None:
    """Since when money is missing that was asked for, None where none is: due and not paid, or taken back.

    Taken back again and again it counts from the first time, or who pays and recalls would never come to the end.
    """
    if found.bounced_fen and found.bounced_at is not None:
        return max(found.due_at, found.bounced_at)
    return found.due_at if found.state == InvoiceState.OVERDUE else None


def _hold(db: Session, found: Invoice, now: datetime) -> None:
    found.suspended_at = now
    db.add(found)
    db.flush()
    record_invoice(db, SERVICE_ACTOR, Tag.INVOICE_OVERDUE, found, now, {"held": True})
    lines = [one for one in queries.lines(db, found.id) if one.credited_by is None]
    hold_agreements(db, lines)
    for agreement_id in _agreements(lines):
        stopping.hold_for(db, negotiation.agreement(db, agreement_id), Stop.INVOICE_OVERDUE, now)


def let_go(db: Session, lines: Sequence[InvoiceLine], now: datetime) -> None:
    """Let the agreements of these lines go on, where no other unpaid invoice holds them or what they amended.

    Records: negotiation:agreement_resumed.
    """
    for agreement_id in _agreements(lines):
        standing = succession.in_place_of(db, agreement_id)
        if not queries.holding_invoices(db, (standing, *succession.amended(db, standing))):
            agreement = negotiation.agreement(db, agreement_id)
            negotiation.lock_agreement(db, agreement)
            stopping.release(db, agreement, Stop.INVOICE_OVERDUE, now)


def _agreements(lines: Sequence[InvoiceLine]) -> list[str]:
    return sorted({one.agreement_id for one in lines if one.agreement_id})
