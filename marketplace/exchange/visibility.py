"""What is listed and valid at a moment, said in SQL: the same that `standing.require_standing` says of one version."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, or_
from sqlalchemy.orm import aliased
from sqlmodel import col, func, select

from marketplace.assets.models import Asset, Version
from marketplace.assets.stages import Stage
from marketplace.exchange.models import Exclusivity, Listing, Offer, OfferBuyer
from marketplace.exchange.rules import ListingState
from marketplace.legal.models import Opinion, OpinionCondition
from marketplace.legal.rules import LAW_PROFILE, Outcome
from marketplace.participants.models import Participant
from marketplace.registration.models import Certificate, Right
from marketplace.registration.rules import CertificateState, RightKind

_LATER_CERTIFICATE, _BASIS = aliased(Certificate), aliased(Certificate)
_LATER_OPINION = aliased(Opinion)


def standing(rows: Any, now: datetime, reader: str | None = None) -> Any:
    """Join offer, version, asset, provider, certificate and opinion to rows of Listing, if every proof holds now.

    Without those that are for others than the reader, and those of assets that were sold exclusively to
    somebody else.
    """
    return (
        rows.join(Offer, col(Offer.id) == col(Listing.offer_id))
        .join(Version, col(Version.id) == col(Listing.version_id))
        .join(Asset, col(Asset.id) == col(Listing.asset_id))
        .join(Participant, col(Participant.id) == col(Offer.provider_id))
        .join(Certificate, _certified(now))
        .join(Opinion, _assessed(now))
        .where(
            # Nearly every listing is in this state: as a value it tempts no planner to begin with the state's index.
            func.coalesce(col(Listing.state), "") == ListingState.LISTED,
            col(Version.stage) == Stage.LISTED,
            col(Version.kind) == "governed",
            col(Participant.suspended_at).is_(None),
            _may_sell(now),
            _for(reader),
            ~_sold_exclusively(now, reader),
        )
    )


def _for(reader: str | None) -> ColumnElement[bool]:
    """An offer to everybody, or a private one to the reader."""
    buyers = select(OfferBuyer.offer_id).where(OfferBuyer.offer_id == Offer.id)
    public = ~buyers.exists()
    return public if reader is None else or_(public, buyers.where(OfferBuyer.buyer_id == reader).exists())


def _sold_exclusively(now: datetime, reader: str | None) -> ColumnElement[bool]:
    """Sold to somebody else than the reader."""
    live = select(Exclusivity.agreement_id).where(Exclusivity.asset_id == Asset.id, col(Exclusivity.ends_at) > now)
    return (live if reader is None else live.where(Exclusivity.buyer_id != reader)).exists()


def _certified(now: datetime) -> ColumnElement[bool]:
    """The latest issued of the certificates that are valid for the version's root."""
    later = _LATER_CERTIFICATE

    def holds(one: Any) -> ColumnElement[bool]:
        return and_(
            one.version_id == col(Version.id),
            one.root == col(Version.root),
            one.state == CertificateState.VALID,
            one.issued_at <= now,
            one.valid_until > now,
        )

    newer = or_(
        col(later.issued_at) > col(Certificate.issued_at),
        and_(col(later.issued_at) == col(Certificate.issued_at), col(later.code) > col(Certificate.code)),
    )
    return and_(holds(Certificate), ~select(later.code).where(holds(later), newer).exists())


def _assessed(now: datetime) -> ColumnElement[bool]:
    """The last signed opinion of the version, if it holds: an earlier one does not outlive a later FAIL."""
    later = _LATER_OPINION
    newer = or_(
        col(later.signed_at) > col(Opinion.signed_at),
        and_(col(later.signed_at) == col(Opinion.signed_at), col(later.id) > col(Opinion.id)),
    )
    superseded = select(later.id).where(later.version_id == Opinion.version_id, later.state == "signed", newer)
    met = and_(col(OpinionCondition.met_at).is_not(None), col(OpinionCondition.met_at) <= col(OpinionCondition.due_at))
    missed = select(OpinionCondition.id).where(
        OpinionCondition.opinion_id == Opinion.id, ~or_(met, col(OpinionCondition.due_at) > now)
    )
    return and_(
        col(Opinion.version_id) == col(Version.id),
        col(Opinion.root) == col(Version.root),
        col(Opinion.state) == "signed",
        col(Opinion.outcome).in_([Outcome.PASS.value, Outcome.CONDITIONAL.value]),
        col(Opinion.law_profile) == LAW_PROFILE,
        col(Opinion.expires_at) > now,
        ~superseded.exists(),
        ~missed.exists(),
    )


def _may_sell(now: datetime) -> ColumnElement[bool]:
    basis = _BASIS
    return (
        select(Right.id)
        .join(basis, col(basis.code) == col(Right.certificate_code))
        .where(
            Right.asset_id == Asset.id,
            Right.kind == RightKind.OPERATING,
            Right.holder_id == Offer.provider_id,
            col(Right.starts_at) <= now,
            or_(col(Right.ends_at).is_(None), col(Right.ends_at) > now),
            basis.state == CertificateState.VALID,
            col(basis.valid_until) > now,
        )
        .exists()
    )
