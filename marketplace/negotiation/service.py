"""The verbs before an agreement is signed: request, return, resubmit, approve, decline, expire."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag
from marketplace.exchange import queries as exchange
from marketplace.exchange.queries import CatalogueRow
from marketplace.kernel.actor import SERVICE_ACTOR, Actor, Role
from marketplace.kernel.errors import Conflict, Forbidden, Invalid, shown
from marketplace.kernel.ids import new_id
from marketplace.negotiation import queries
from marketplace.negotiation.eligibility import record_refusal, refusal_of
from marketplace.negotiation.models import AccessRequest, Agreement
from marketplace.negotiation.rounds import queries as rounds
from marketplace.negotiation.rounds.asking import ask_for_answer
from marketplace.negotiation.rounds.offering import offer
from marketplace.negotiation.rounds.schemas import TermsIn
from marketplace.negotiation.rounds.terms import Terms, about, asked_first, fitting, listed, put_on_table
from marketplace.negotiation.rules import (
    ANSWER_WITHIN,
    NEGOTIATION,
    OPEN,
    Reason,
    Refusal,
    Side,
    State,
    require_own_reason,
)
from marketplace.negotiation.schemas import ApprovalIn, RequestIn, ResubmissionIn, WhyIn
from marketplace.negotiation.steps import close_draft, move, record_request, save, sides, step_of, watch


class NotABuyer(Forbidden):
    """Only a buyer asks for access."""


class OwnListing(Conflict):
    """A provider does not buy from itself."""


class TwoPurposes(Invalid):
    """The proposed terms name another purpose than the request."""


class NothingReturned(Conflict):
    """The request was not returned for completion."""


def request_access(db: Session, actor: Actor, asked: RequestIn, now: datetime) -> AccessRequest | Refusal:
    """Ask for access under a visible listing; the same open request asked again is the same request.

    asked.terms: what the buyer proposes within the listing's template, left out: what is listed.
    A purpose that is not permitted, an unverified or suspended buyer, one that owes the provider an overdue proof, or
    genomic data for a foreign-controlled one is answered with a Refusal value (gates H12, H11, H5).
    Raises NotABuyer, OwnListing, TwoPurposes, NotInCatalogue, and what `terms.fitting` raises.
    Records: negotiation:access_requested or negotiation:access_refused.
    """
    row = exchange.visible_listing(db, asked.listing, now, reader=actor.participant)
    terms = listed(row.offer, asked.purpose).changed(asked.terms)
    known = _asked_before(db, actor, asked, terms, now)

    if not actor.has(Role.BUYER):
        raise NotABuyer("asking for access needs the role buyer", got=", ".join(sorted(actor.roles)))
    if row.offer.provider_id == actor.participant:
        raise OwnListing("this is a listing of your own", got=asked.listing)
    if known is not None:
        return known
    if terms.purpose != asked.purpose:
        raise TwoPurposes("a request is for one purpose", expected=asked.purpose, got=shown(terms.purpose))
    meant = fitting(db, row, terms, now)
    refused = refusal_of(db, actor.participant, asked.purpose, meant)
    if refused is not None:
        return record_refusal(db, actor, asked.purpose, row, refused, now, {})

    request = _request(actor, asked, row, now)
    save(db, request)
    watch(db, request, now)
    proposal = put_on_table(db, request, terms, Side.BUYER, now)
    ask_for_answer(db, request, proposal, now)

    record_request(db, actor, Tag.ACCESS_REQUESTED, request, now, about(proposal))
    return request


def return_for_completion(
    db: Session, actor: Actor, request: AccessRequest, why: WhyIn, now: datetime
) -> AccessRequest:
    """Give a request back to the buyer, who has a new deadline to complete it.

    Returning it twice changes nothing.  Raises ReasonOfService.  Records: negotiation:request_returned.
    """
    queries.lock(db, request)

    step = step_of(request, actor, State.REQUESTED, now, Side.PROVIDER)
    if request.reason == Reason.RETURNED:
        return request
    require_own_reason(why.reason)

    request.reason, request.note = Reason.RETURNED, f"{why.reason}: {why.note}" if why.note else why.reason
    request.answered_at = now
    close_draft(db, request, "superseded", now)
    request.agreement_id = None
    return move(db, actor, request, step, now)


def resubmit(db: Session, actor: Actor, request: AccessRequest, asked: ResubmissionIn, now: datetime) -> AccessRequest:
    """Complete a returned request.  Raises NothingReturned.  Records: negotiation:request_resubmitted."""
    queries.lock(db, request)

    step = step_of(request, actor, State.REQUESTED, now, Side.BUYER)
    if request.reason != Reason.RETURNED:
        raise NothingReturned("the request lies with the provider", got=request.id)

    request.justification = asked.justification
    request.evidence = [one.model_dump() for one in asked.evidence]
    request.reason, request.note = Reason.COMPLETED, ""
    move(db, actor, request, step, now)
    ask_for_answer(db, request, rounds.latest(db, request.id), now)
    return request


def approve(db: Session, actor: Actor, request: AccessRequest, asked: ApprovalIn, now: datetime) -> Agreement:
    """Say yes to what lies on the table: drafts the agreement that both parties are to sign.

    Approving again gives the same agreement.  Raises what `offering.offer` raises.  Records: negotiation:offer_made.
    """
    return offer(db, actor, request, TermsIn(starts_at=asked.starts_at), now)


def end_negotiation(db: Session, actor: Actor, request: AccessRequest, why: WhyIn, now: datetime) -> AccessRequest:
    """Decline (provider) or withdraw (buyer) at any state before the end; a second time changes nothing.

    Raises ReasonOfService.  Records: negotiation:request_declined or negotiation:request_withdrawn.
    """
    queries.lock(db, request)

    if request.state == State.TERMINATED:
        return request
    step = NEGOTIATION.step(State(request.state), State.TERMINATED, sides(request, actor))
    require_own_reason(why.reason)

    request.reason, request.note, request.answered_at = why.reason, why.note, now
    close_draft(db, request, why.reason, now)
    return move(db, actor, request, step, now)


def expire(db: Session, request_id: str, now: datetime) -> None:
    """End a negotiation whose deadline has passed; one that moved is looked at again at the deadline it has now.

    Records: negotiation:request_expired.
    """
    request = queries.held(db, request_id)

    if request.state not in OPEN:
        return
    if request.expires_at > now:
        watch(db, request, now)
        return
    step = NEGOTIATION.step(State(request.state), State.TERMINATED, [Side.SERVICE])

    request.reason = Reason.DEADLINE
    close_draft(db, request, request.reason, now)
    move(db, SERVICE_ACTOR, request, step, now)


def _asked_before(db: Session, actor: Actor, asked: RequestIn, terms: Terms, now: datetime) -> AccessRequest | None:
    queries.hold_opening(db, actor.participant, asked.listing)
    running = queries.open_requests(db, actor.participant, asked.listing)
    return next((one for one in running if one.expires_at > now and _same(db, one, asked, terms)), None)


def _same(db: Session, known: AccessRequest, asked: RequestIn, terms: Terms) -> bool:
    evidence = [one.model_dump() for one in asked.evidence]
    asks = (known.justification, known.evidence) == (asked.justification, evidence)
    return asks and asked_first(db, known) == terms


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
        reason=Reason.ASKED,
        asked_at=now,
        expires_at=now + ANSWER_WITHIN,
    )
