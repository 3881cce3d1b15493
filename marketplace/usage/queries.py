"""Reading what a decision rests on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from marketplace.audit import documents
from marketplace.audit.models import Document
from marketplace.kernel.canonical import read_strictly
from marketplace.legal.models import Opinion
from marketplace.legal.queries import conditions
from marketplace.negotiation.models import Agreement
from marketplace.participants.queries import participant
from marketplace.plumbing.epochs import Epoch
from marketplace.usage.models import UsageQuota


def quota(db: Session, agreement_id: str) -> UsageQuota:
    """What is used up; nothing yet when the agreement has no row."""
    return db.get(UsageQuota, agreement_id, populate_existing=True) or UsageQuota(agreement_id=agreement_id)


def epoch(db: Session, subjects: Sequence[str], *, hold: bool = False) -> int:
    """The sum of the epochs of several subjects.

    hold: keep them from being bumped until this transaction ends (PostgreSQL; on SQLite a write transaction does).
    """
    rows = select(Epoch.number).where(col(Epoch.subject).in_(list(subjects)))
    return sum(db.exec(rows.with_for_update(read=True) if hold else rows))


def signers(db: Session, agreement: Agreement) -> list[str]:
    """Whose signatures lie on the agreement's document."""
    return sorted(one.signer for one in documents.signatures(db, agreement.document))


def terms_signed(db: Session, agreement: Agreement) -> bool:
    """Whether the uses on record are those inside the signed document."""
    document = db.get(Document, agreement.document)
    content = read_strictly(document.body) if document is not None else None
    return isinstance(content, dict) and content.get("uses") == agreement.uses


def parties_active(db: Session, agreement: Agreement) -> bool:
    """Whether neither side of the agreement is suspended (gate H11)."""
    sides = (participant(db, one) for one in (agreement.provider_id, agreement.buyer_id))
    return all(one.suspended_at is None for one in sides)


def open_conditions(db: Session, opinion: Opinion) -> list[datetime]:
    """When the conditions of an opinion that are not met yet fall due."""
    return [one.due_at for one in conditions(db, opinion.id) if one.met_at is None]
