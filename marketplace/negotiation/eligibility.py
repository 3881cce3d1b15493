"""Whether this buyer may have access at all, judged anew at every round."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.assets import queries as assets
from marketplace.audit.entry import Tag, record
from marketplace.exchange.queries import CatalogueRow
from marketplace.exchange.terms import permitted_purposes
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Conflict
from marketplace.negotiation.duties.queries import overdue_between
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.rules import Buyer, Refusal, named_purpose, refusal
from marketplace.participants import queries as participants


class RefusedOnReview(Conflict):
    """The buyer may no longer have access."""


def known_buyer(db: Session, buyer_id: str, provider_id: str) -> Buyer:
    """What a decision about a buyer rests on."""
    buyer = participants.participant(db, buyer_id)
    return Buyer(
        verified=bool(buyer.verified_by and buyer.verification_method),
        suspended=buyer.suspended_at is not None,
        foreign_controlled=buyer.foreign_controlled,
        overdue=tuple(overdue_between(db, buyer_id, provider_id)),
    )


def refusal_of(db: Session, buyer_id: str, purpose: str, row: CatalogueRow) -> Refusal | None:
    """Why a buyer may not have access under these terms for a purpose, or None (gates H12, H11, H5)."""
    known = known_buyer(db, buyer_id, row.offer.provider_id)
    return refusal(purpose, permitted_purposes(row.offer.uses), known, contains_genomic=row.asset.contains_genomic)


def require_eligible(db: Session, buyer_id: str, purpose: str, row: CatalogueRow) -> None:
    """Raises RefusedOnReview."""
    _raise(refusal_of(db, buyer_id, purpose, row))


def require_eligible_for(db: Session, agreement: Agreement) -> None:
    """Judge the buyer for every purpose that an agreement permits.  Raises RefusedOnReview (gates H12, H11, H5)."""
    known = known_buyer(db, agreement.buyer_id, agreement.provider_id)
    genomic = assets.asset(db, agreement.asset_id).contains_genomic
    permitted = permitted_purposes(agreement.uses)
    for purpose in sorted(permitted):
        _raise(refusal(purpose, permitted, known, contains_genomic=genomic))


def record_refusal(
    db: Session, actor: Actor, purpose: str, row: CatalogueRow, refused: Refusal, now: datetime, about: Json
) -> Refusal:
    """A refusal is an answer that is recorded; returns it.  Records: negotiation:access_refused."""
    facts: Json = {"listing": row.listing.id, "purpose": named_purpose(purpose), "reasons": list(refused.reasons)}
    record(db, actor, Tag.ACCESS_REFUSED, now, asset=row.asset.id, version=row.version.id, facts=facts | about)
    return refused


def _raise(refused: Refusal | None) -> None:
    if refused is not None:
        raise RefusedOnReview(refused.explanation, got=", ".join(refused.reasons))
