"""The public catalogue: what is listed and still valid at this moment, in one statement."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, and_, literal, or_
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, func, select

from marketplace.assets.models import Asset, Version
from marketplace.assets.stages import Stage
from marketplace.exchange.models import CatalogueTerm, Exclusivity, Listing, Offer, OfferBuyer
from marketplace.exchange.rules import ListingState, query_terms
from marketplace.exchange.terms.purposes import read_codes
from marketplace.kernel.canonical import canonical, read_strictly
from marketplace.kernel.clock import parse_timestamp, timestamp
from marketplace.kernel.errors import Invalid, NotFound, shown
from marketplace.legal.models import Opinion, OpinionCondition
from marketplace.legal.rules import LAW_PROFILE, Outcome
from marketplace.participants.models import Participant
from marketplace.registration.models import Certificate, Right
from marketplace.registration.rules import CertificateState, RightKind

MAX_PAGE = 100
MAX_TERMS = 24


class NotInCatalogue(NotFound):
    """No such listing in the catalogue now."""


class BadCursor(Invalid):
    """The cursor was not made by this catalogue."""


@dataclass(frozen=True)
class CatalogueRow:
    """A visible listing with everything its line shows.  score: weight of the search terms, 0 without a search."""

    listing: Listing
    offer: Offer
    asset: Asset
    version: Version
    provider: Participant
    certificate: Certificate
    opinion: Opinion
    score: int


@dataclass(frozen=True)
class CataloguePage:
    """Rows by score, then the latest first; next_cursor: None on the last page."""

    rows: Sequence[CatalogueRow]
    next_cursor: str | None


def visible(
    db: Session,
    now: datetime,
    *,
    text: str = "",
    modality: str | None = None,
    body_part: str | None = None,
    purpose: str | None = None,
    provider: str | None = None,
    reader: str | None = None,
    cursor: str | None = None,
    limit: int = 20,
) -> CataloguePage:
    """A page of what is listed and valid now: one query, whatever the size of the page.

    text: words and Chinese text, all of which must occur; purpose: ours or a code of `terms.purposes`, e.g. `duo:HMB`;
    reader: shows the private offers to this buyer and nothing else, None = what everybody sees.
    Raises BadCursor, UnknownCode.
    """
    terms = query_terms(text)[:MAX_TERMS]
    if text.strip() and not terms:
        return CataloguePage((), None)
    scores = _scores(terms)
    score = scores.c.score if terms else literal(0)
    rows = _standing_rows(now, score, reader).where(*_filters(modality, body_part, purpose, provider))
    if reader is not None:
        rows = rows.where(_named(reader))
    if terms:
        rows = rows.join(scores, scores.c.listing_id == col(Listing.id))
    if cursor is not None:
        rows = rows.where(_after(score, cursor))
    size = max(1, min(limit, MAX_PAGE))
    if terms:
        rows = rows.order_by(score.desc())
    ordered = rows.order_by(col(Listing.listed_at).desc(), col(Listing.id).desc()).limit(size + 1)
    found = [CatalogueRow(*row) for row in db.exec(ordered)]
    return CataloguePage(found[:size], _cursor(found[size - 1]) if len(found) > size else None)


def visible_listing(db: Session, listing_id: str, now: datetime, *, reader: str | None = None) -> CatalogueRow:
    """One listing, if it is visible now.  reader: sees the private offers to it too.  Raises NotInCatalogue."""
    row = db.exec(_standing_rows(now, literal(0), reader).where(Listing.id == listing_id)).first()
    if row is None:
        raise NotInCatalogue(
            "no listing with this id is visible now",
            got=shown(listing_id),
            action="it may be suspended or withdrawn, or its certificate or opinion is not valid now",
        )
    return CatalogueRow(*row)


def _filters(
    modality: str | None, body_part: str | None, purpose: str | None, provider: str | None
) -> list[ColumnElement[bool]]:
    filters: list[ColumnElement[bool]] = []
    for column, wanted in ((Asset.modality, modality), (Asset.body_part, body_part)):
        if wanted is not None:
            filters.append(func.lower(column) == wanted.lower())
    if provider is not None:
        filters.append(col(Offer.provider_id) == provider)
    if purpose is not None:
        filters += _permitting(purpose)
    return filters


def _permitting(purpose: str) -> list[ColumnElement[bool]]:
    """A listing permits a code when it permits all our purposes that the code comes to; a prohibited one, never."""
    asked = read_codes([purpose])
    if asked.denied or not asked.purposes:
        return [sa.false()]
    held = (
        select(CatalogueTerm.listing_id).where(CatalogueTerm.term == f"purpose:{one}") for one in sorted(asked.purposes)
    )
    return [col(Listing.id).in_(one) for one in held]


def _standing_rows(now: datetime, score: ColumnElement[int], reader: str | None = None) -> Any:
    """Listings whose every proof holds now; says in SQL what `standing.require_standing` says of one version.

    Without those that are for others than the reader, and those of assets that were sold exclusively.
    """
    return (
        sa.select(Listing, Offer, Asset, Version, Participant, Certificate, Opinion, score.label("score"))
        .join(Offer, col(Offer.id) == col(Listing.offer_id))
        .join(Version, col(Version.id) == col(Listing.version_id))
        .join(Asset, col(Asset.id) == col(Listing.asset_id))
        .join(Participant, col(Participant.id) == col(Offer.provider_id))
        .join(Certificate, _certified(now))
        .join(Opinion, _assessed(now))
        .where(
            col(Listing.state) == ListingState.LISTED,
            col(Version.stage) == Stage.LISTED,
            col(Version.kind) == "governed",
            col(Participant.suspended_at).is_(None),
            _may_sell(now),
            _for(reader),
            ~_sold_exclusively(now),
        )
    )


def _certified(now: datetime) -> ColumnElement[bool]:
    """The latest issued of the certificates that are valid for the version's root."""
    later = aliased(Certificate)

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
    later = aliased(Opinion)
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
    basis = aliased(Certificate)
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


def _named(reader: str) -> ColumnElement[bool]:
    """A private offer to this buyer."""
    return select(OfferBuyer.offer_id).where(OfferBuyer.offer_id == Offer.id, OfferBuyer.buyer_id == reader).exists()


def _for(reader: str | None) -> ColumnElement[bool]:
    """An offer to everybody, or a private one to the reader."""
    public = ~select(OfferBuyer.offer_id).where(OfferBuyer.offer_id == Offer.id).exists()
    return public if reader is None else or_(public, _named(reader))


def _sold_exclusively(now: datetime) -> ColumnElement[bool]:
    live = select(Exclusivity.agreement_id).where(Exclusivity.asset_id == Asset.id, col(Exclusivity.ends_at) > now)
    return live.exists()


def _scores(terms: Sequence[str]) -> Any:
    """Listing -> sum of weights, for listings that hold every term."""
    return (
        select(col(CatalogueTerm.listing_id), func.sum(CatalogueTerm.weight).label("score"))
        .where(col(CatalogueTerm.term).in_(terms))
        .group_by(col(CatalogueTerm.listing_id))
        .having(func.count() == len(terms))
        .subquery()
    )


def _cursor(row: CatalogueRow) -> str:
    assert row.listing.listed_at is not None
    key = canonical([int(row.score), timestamp(row.listing.listed_at), row.listing.id])
    return base64.urlsafe_b64encode(key).decode().rstrip("=")


def _after(score: ColumnElement[int], cursor: str) -> ColumnElement[bool]:
    try:
        weight, listed, listing_id = read_strictly(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        key = (int(weight), parse_timestamp(listed), str(listing_id))
    except (ValueError, TypeError, Invalid) as error:
        raise BadCursor("the cursor is not readable", got=shown(cursor), action="start without a cursor") from error
    at = col(Listing.listed_at)
    return or_(
        score < key[0],
        and_(score == key[0], at < key[1]),
        and_(score == key[0], at == key[1], col(Listing.id) < key[2]),
    )
