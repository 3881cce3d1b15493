"""Drafting: from a request and the listing as it stands now to the document that both parties are to sign."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlmodel import Session

from marketplace.audit import documents
from marketplace.exchange.queries import CatalogueRow
from marketplace.exchange.standing import Standing
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import require_utc, timestamp
from marketplace.kernel.errors import Conflict, Invalid
from marketplace.kernel.ids import new_id
from marketplace.negotiation.agreement import agreement_document, agreement_uses, end_of_term
from marketplace.negotiation.clauses import Facts
from marketplace.negotiation.models import AccessRequest, Agreement
from marketplace.participants import queries as participants
from marketplace.participants.models import Participant
from marketplace.plumbing import epochs

START_WITHIN = timedelta(days=90)


class StartOutOfRange(Invalid):
    """The term may begin now or within 90 days."""


class TermOutlivesCertificate(Conflict):
    """The term would end after the certificate does."""


def term(asked: datetime | None, row: CatalogueRow, now: datetime) -> tuple[datetime, datetime]:
    """Start and end of the agreement.  Raises StartOutOfRange, TermOutlivesCertificate."""
    starts_at = require_utc(asked) if asked else now
    if not now <= starts_at <= now + START_WITHIN:
        raise StartOutOfRange("the term begins now or within 90 days", expected=f"from {timestamp(now)}")
    ends_at = end_of_term(starts_at, row.offer.term_days)
    if ends_at > row.certificate.valid_until:
        raise TermOutlivesCertificate(
            "no use is allowed after the certificate's end",
            expected=f"an end before {timestamp(row.certificate.valid_until)}",
            got=timestamp(ends_at),
            action="renew the certificate first, or list an offer with a shorter term",
        )
    return starts_at, ends_at


def draft(
    db: Session,
    request: AccessRequest,
    row: CatalogueRow,
    starts_at: datetime,
    ends_at: datetime,
    now: datetime,
    agreed: Json | None = None,
) -> Agreement:
    """Write the agreement and keep its document, readable by both parties.

    row: the listing with the agreed terms as its offer; agreed: round and hash of the proposal that says them.
    """
    agreement_id = new_id("agr")
    facts = _facts(row, participants.participant(db, request.buyer_id), starts_at, ends_at)
    uses = agreement_uses(agreement_id, facts, now)
    standing = Standing(row.opinion, row.certificate)
    document = agreement_document(agreement_id, request.id, facts, standing, uses, now) | (agreed or {})
    agreement = Agreement(
        id=agreement_id,
        request_id=request.id,
        provider_id=request.provider_id,
        buyer_id=request.buyer_id,
        asset_id=row.asset.id,
        version_id=row.version.id,
        listing_id=row.listing.id,
        certificate_code=row.certificate.code,
        opinion_id=row.opinion.id,
        document=documents.keep(db, "agreement", document, now, readers=[request.provider_id, request.buyer_id]),
        uses=uses,
        price_plan=row.offer.price_plan,
        delivery_mode=row.offer.delivery_mode,
        drafted_at=now,
        starts_at=starts_at,
        ends_at=ends_at,
    )
    db.add(agreement)
    db.flush()
    epochs.open_epoch(db, agreement.id)
    return agreement


def _facts(row: CatalogueRow, buyer: Participant, starts_at: datetime, ends_at: datetime) -> Facts:
    return Facts(
        offer=row.offer,
        asset=row.asset,
        version=row.version,
        provider=row.provider,
        buyer=buyer,
        certificate_code=row.certificate.code,
        opinion_number=row.opinion.number,
        starts_at=timestamp(starts_at),
        ends_at=timestamp(ends_at),
    )
