"""Reading what a decision rests on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from sqlmodel import Session, col, func, select

from marketplace.assets.models import Version
from marketplace.audit import documents
from marketplace.audit.models import Document, Entry
from marketplace.exchange.queries import listing
from marketplace.exchange.rules import ListingState
from marketplace.kernel.canonical import Json, read_strictly
from marketplace.legal.models import Opinion
from marketplace.legal.queries import conditions, valid_opinion
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.succession.queries import amended
from marketplace.plumbing.epochs import Epoch, Stop, reason_of
from marketplace.plumbing.epochs import hold as hold_epochs
from marketplace.registration.queries import valid_certificate
from marketplace.usage.models import UsageQuota
from marketplace.usage.rules import EPOCH_CHANGED, EXPIRED


def quota(db: Session, agreement_id: str) -> UsageQuota:
    """What is used up; nothing yet when the agreement has no row."""
    return db.get(UsageQuota, agreement_id, populate_existing=True) or UsageQuota(agreement_id=agreement_id)


def carried(db: Session, agreement_id: str) -> tuple[int, int]:
    """Uses and bytes that count under an agreement because they were taken under those that it amended.

    What such a one still holds reserved counts as taken until it is settled.
    """
    rows = [quota(db, name) for name in amended(db, agreement_id)]
    uses = sum(one.uses_reserved + one.uses_settled for one in rows)
    return uses, sum(one.bytes_reserved + one.bytes_settled for one in rows)


def final_at(db: Session, agreement: Agreement) -> datetime | None:
    """When an agreement, or the first one that it amended, became final: elapsed time is not begun anew."""
    line = [agreement, *(db.get_one(Agreement, name) for name in amended(db, agreement.id))]
    return min((one.finalized_at for one in line if one.finalized_at is not None), default=None)


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


def lapse_reason(db: Session, agreement_id: str, stops_at: int, now: datetime) -> str:
    """Why a use that lapses by itself ended at a Unix second: what a later request is refused with."""
    found = db.get_one(Agreement, agreement_id)
    moment = max(now, datetime.fromtimestamp(stops_at + 1, UTC))  # windows end with the whole second
    version = db.get_one(Version, found.version_id)
    if found.ends_at <= moment:
        return EXPIRED
    if valid_certificate(db, version, moment) is None:
        return Stop.CERTIFICATE_NOT_VALID
    return EXPIRED if valid_opinion(db, version, moment) else Stop.OPINION_NOT_VALID


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
