"""Reading what a decision rests on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlmodel import Session, col, func, select

from marketplace.audit import documents
from marketplace.audit.models import Document, Entry
from marketplace.exchange.queries import listing
from marketplace.exchange.rules import ListingState
from marketplace.kernel.canonical import Json, read_strictly
from marketplace.legal.models import Opinion
from marketplace.legal.queries import conditions
from marketplace.negotiation.models import Agreement
from marketplace.plumbing.epochs import Epoch, reason_of
from marketplace.plumbing.epochs import hold as hold_epochs
from marketplace.usage.models import UsageQuota
from marketplace.usage.rules import EPOCH_CHANGED


def quota(db: Session, agreement_id: str) -> UsageQuota:
    """What is used up; nothing yet when the agreement has no row."""
    return db.get(UsageQuota, agreement_id, populate_existing=True) or UsageQuota(agreement_id=agreement_id)


def epoch(db: Session, subjects: Sequence[str], *, hold: bool = False) -> int:
    """The sum of the epochs of several subjects.

    hold: keep them from being bumped until this transaction ends.
    """
    if hold:
        hold_epochs(db)
    return sum(db.exec(select(Epoch.number).where(col(Epoch.subject).in_(list(subjects)))))


def epochs(db: Session, subjects: Collection[str]) -> dict[str, int]:
    """The epoch of each subject that has one."""
    if not subjects:
        return {}
    rows = select(Epoch.subject, Epoch.number).where(col(Epoch.subject).in_(list(subjects)))
    return dict(db.exec(rows).all())


def stop_reason(db: Session, subjects: Sequence[str]) -> str:
    """Why a use of these subjects, whose epoch has changed, was stopped."""
    return reason_of(db, subjects) or EPOCH_CHANGED


def latest_entry(db: Session) -> datetime | None:
    """The latest time of any entry: time never runs behind it."""
    return db.exec(select(func.max(Entry.at))).one()


def signers(db: Session, agreement: Agreement) -> list[str]:
    """Whose signatures lie on the agreement's document."""
    return sorted(one.signer for one in documents.signatures(db, agreement.document))


def terms_signed(db: Session, agreement: Agreement) -> bool:
    """Whether the uses and the prices on record are those inside the signed document."""
    signed = _signed(db, agreement)
    return signed.get("uses") == agreement.uses and signed.get("price_plan") == agreement.price_plan


def signed_price_plan(db: Session, agreement: Agreement) -> Json:
    """The prices that both parties signed, whatever the agreement's row says now."""
    plan: Json = _signed(db, agreement)["price_plan"]
    return plan


def listing_stands(db: Session, agreement: Agreement) -> bool:
    """Whether the exchange has not forced off the listing that an agreement was made under."""
    return listing(db, agreement.listing_id).state != ListingState.FORCED_OFF


def open_conditions(db: Session, opinion: Opinion) -> list[datetime]:
    """When the conditions of an opinion that are not met yet fall due."""
    return [one.due_at for one in conditions(db, opinion.id) if one.met_at is None]


def _signed(db: Session, agreement: Agreement) -> Json:
    document = db.get(Document, agreement.document)
    content = read_strictly(document.body) if document is not None else None
    return content if isinstance(content, dict) else {}
