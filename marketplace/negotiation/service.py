"""The verbs before an agreement is signed: request, return, resubmit, approve, decline, expire."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.exchange import queries as exchange
from marketplace.exchange.queries import CatalogueRow
from marketplace.exchange.terms import permitted_purposes
from marketplace.kernel.actor import SERVICE_ACTOR, Actor, Role
from marketplace.kernel.errors import Conflict, Forbidden
from marketplace.kernel.ids import new_id
from marketplace.negotiation import queries
from marketplace.negotiation.drafting import draft, term
from marketplace.negotiation.duties.queries import overdue_between
from marketplace.negotiation.models import AccessRequest, Agreement
from marketplace.negotiation.rules import (
    ANSWER_WITHIN,
    NEGOTIATION,
    OPEN,
    RETURNED,
    Buyer,
    Refusal,
    Side,
    State,
    named_purpose,
    refusal,
)
from marketplace.negotiation.schemas import ApprovalIn, RequestIn, ResubmissionIn, WhyIn
from marketplace.negotiation.steps import close_draft, move, record_request, save, sides, step_of
from marketplace.participants import queries as participants


class NotABuyer(Forbidden):
    """Only a buyer asks for access."""


class OwnListing(Conflict):
    """A provider does not buy from itself."""


class AwaitsCompletion(Conflict):
    """The request was returned and the buyer has not completed it."""


class NothingReturned(Conflict):
    """The request was not returned for completion."""


class RefusedOnReview(Conflict):
    """The buyer may no longer have access."""


def request_access(db: Session, actor: Actor, asked: RequestIn, now: datetime) -> AccessRequest | Refusal:
    """Ask for access under a visible listing; the same open request asked again is the same request.

    A purpose that is not permitted, an unverified or suspended buyer, one that owes the provider an overdue proof, or
    genomic data for a foreign-controlled one is answered with a Refusal value (gates H12, H11, H5).
    Raises NotABuyer, OwnListing, NotInCatalogue.
    Records: negotiation:access_requested or negotiation:access_refused.
    """
    row = exchange.visible_listing(db, asked.listing, now, reader=actor.participant)
    known = [one for one in queries.open_requests(db, actor.participant, asked.listing) if _same(one, asked)]

    if not actor.has(Role.BUYER):
        raise NotABuyer("asking for access needs the role buyer", got=", ".join(sorted(actor.roles)))
    if row.offer.provider_id == actor.participant:
        raise OwnListing("this is a listing of your own", got=asked.listing)
    if known and known[0].expires_at > now:
        return known[0]
    refused = _refusal(db, actor.participant, asked.purpose, row)
    if refused is not None:
        facts = {"listing": row.listing.id, "purpose": named_purpose(asked.purpose), "reasons": list(refused.reasons)}
        record(db, actor, Tag.ACCESS_REFUSED, now, asset=row.asset.id, version=row.version.id, facts=facts)
        return refused

    request = _request(actor, asked, row, now)
    save(db, request, now)

    record_request(db, actor, Tag.ACCESS_REQUESTED, request, now)
    return request


def return_for_completion(
    db: Session, actor: Actor, request: AccessRequest, why: WhyIn, now: datetime
) -> AccessRequest:
    """Give a request back to the buyer, who has a new deadline to complete it.

    Returning it twice changes nothing.  Records: negotiation:request_returned.
    """
    queries.lock(db, request)

    step = step_of(request, actor, State.REQUESTED, now, Side.PROVIDER)
    if request.reason == RETURNED:
        return request

    request.reason, request.note = RETURNED, f"{why.reason}: {why.note}" if why.note else why.reason
    request.answered_at = now
    return move(db, actor, request, step, now)


def resubmit(db: Session, actor: Actor, request: AccessRequest, asked: ResubmissionIn, now: datetime) -> AccessRequest:
    """Complete a returned request.  Raises NothingReturned.  Records: negotiation:request_resubmitted."""
    queries.lock(db, request)

    step = step_of(request, actor, State.REQUESTED, now, Side.BUYER)
    if request.reason != RETURNED:
        raise NothingReturned("the request lies with the provider", got=request.id)

    request.justification = asked.justification
    request.evidence = [one.model_dump() for one in asked.evidence]
    request.reason, request.note = "", ""
    return move(db, actor, request, step, now)


def approve(db: Session, actor: Actor, request: AccessRequest, asked: ApprovalIn, now: datetime) -> Agreement:
    """Say yes: drafts the agreement that both parties are to sign.  Approving again gives the same agreement.

    Every fact is judged anew.  Raises WrongState, NotYourStep, NegotiationExpired, AwaitsCompletion, NotInCatalogue,
    RefusedOnReview, StartOutOfRange, TermOutlivesCertificate.  Records: negotiation:offer_made.
    """
    queries.lock(db, request)
    if request.agreement_id is not None and request.state == State.OFFERED:
        return queries.agreement(db, request.agreement_id)
    row = exchange.visible_listing(db, request.listing_id, now, reader=request.buyer_id)

    step = step_of(request, actor, State.OFFERED, now, Side.PROVIDER)
    if request.reason == RETURNED:
        raise AwaitsCompletion("the buyer has to complete the request first", got=request.note)
    refused = _refusal(db, request.buyer_id, request.purpose, row)
    if refused is not None:
        raise RefusedOnReview(refused.explanation, got=", ".join(refused.reasons))
    starts_at, ends_at = term(asked.starts_at, row, now)

    agreement = draft(db, request, row, starts_at, ends_at, now)
    request.agreement_id, request.answered_at = agreement.id, now
    move(db, actor, request, step, now)
    return agreement


def end_negotiation(db: Session, actor: Actor, request: AccessRequest, why: WhyIn, now: datetime) -> AccessRequest:
    """Decline (provider) or withdraw (buyer) at any state before the end; a second time changes nothing.

    Records: negotiation:request_declined or negotiation:request_withdrawn.
    """
    queries.lock(db, request)

    if request.state == State.TERMINATED:
        return request
    step = NEGOTIATION.step(State(request.state), State.TERMINATED, sides(request, actor))

    request.reason, request.note, request.answered_at = why.reason, why.note, now
    close_draft(db, request, why.reason, now)
    return move(db, actor, request, step, now)


def expire(db: Session, request_id: str, now: datetime) -> None:
    """End a negotiation whose deadline has passed; anything else is left as it is.

    Records: negotiation:request_expired.
    """
    request = queries.request(db, request_id)
    queries.lock(db, request)

    if request.state not in OPEN or request.expires_at > now:
        return
    step = NEGOTIATION.step(State(request.state), State.TERMINATED, [Side.SERVICE])

    request.reason = "deadline_passed"
    close_draft(db, request, request.reason, now)
    move(db, SERVICE_ACTOR, request, step, now)


def _same(known: AccessRequest, asked: RequestIn) -> bool:
    evidence = [one.model_dump() for one in asked.evidence]
    return (known.purpose, known.justification, known.evidence) == (asked.purpose, asked.justification, evidence)


def _refusal(db: Session, buyer_id: str, purpose: str, row: CatalogueRow) -> Refusal | None:
    buyer = participants.participant(db, buyer_id)
    known = Buyer(
        verified=bool(buyer.verified_by and buyer.verification_method),
        suspended=buyer.suspended_at is not None,
        foreign_controlled=buyer.foreign_controlled,
        overdue=tuple(overdue_between(db, buyer_id, row.offer.provider_id)),
    )
    return refusal(purpose, permitted_purposes(row.offer.uses), known, contains_genomic=row.asset.contains_genomic)


def _request(actor: Actor, asked: RequestIn, row: CatalogueRow, now: datetime) -> AccessRequest:
    return AccessRequest(
        id=new_id("req"),
        listing_id=row.listing.id,
        offer_id=row.offer.id,
        buyer_id=actor.participant,
        provider_id=row.offer.provider_id,
        state=State.REQUESTED,
        purpose=asked.purpose,
        justification=asked.justification,
        evidence=[one.model_dump() for one in asked.evidence],
        asked_at=now,
        expires_at=now + ANSWER_WITHIN,
    )
