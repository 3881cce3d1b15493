"""The buyer's moves on an offer: ask for other terms, or accept it before signing."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.exchange import queries as exchange
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Conflict
from marketplace.kernel.transitions import NotYourStep, Step, WrongState
from marketplace.negotiation import queries, signing
from marketplace.negotiation.eligibility import record_refusal, refusal_of
from marketplace.negotiation.models import AccessRequest
from marketplace.negotiation.rounds import queries as rounds
from marketplace.negotiation.rounds import terms as table
from marketplace.negotiation.rounds.asking import ask_for_answer
from marketplace.negotiation.rounds.schemas import TermsIn
from marketplace.negotiation.rounds.terms import Terms
from marketplace.negotiation.rules import Reason, Refusal, Side, State
from marketplace.negotiation.steps import close_draft, move, step_of

AFTER_ACCEPTANCE = frozenset({State.ACCEPTED, State.AGREED, State.VERIFIED, State.FINALIZED})


class NothingCountered(Conflict):
    """These are the terms that were offered."""


class NotTheOffer(Conflict):
    """Another agreement than this lies on the table."""


def counter(
    db: Session, actor: Actor, request: AccessRequest, asked: TermsIn, now: datetime
) -> AccessRequest | Refusal:
    """Ask for other terms than were offered; the offered agreement ends as superseded.  The same again changes nothing.

    Terms under which this buyer may not have access are answered with a Refusal value, and the offer stands.
    Raises WrongState, NotYourStep, NegotiationExpired, NothingCountered, NotInCatalogue, and what `terms.fitting`
    raises.  Records: negotiation:offer_countered or negotiation:access_refused.
    """
    queries.lock(db, request)
    latest = rounds.latest(db, request.id)
    before = table.lying(db, request, latest)
    terms = before.changed(asked)
    repeated = request.state == State.REQUESTED and latest is not None and latest.by == Side.BUYER and terms == before
    if repeated and queries.side_of(request, actor) == Side.BUYER:
        return request
    row = exchange.visible_listing(db, request.listing_id, now, reader=request.buyer_id)

    step = step_of(request, actor, State.REQUESTED, now, Side.BUYER)
    # From REQUESTED there is a step to itself too, which completes a returned request.
    if request.state != State.OFFERED:
        raise WrongState("nothing was offered yet", expected=State.OFFERED, got=request.state)
    if terms == before:
        raise NothingCountered("nothing differs from the offer", got=request.id, action="accept the offer")
    meant = table.fitting(db, row, terms, now)
    refused = refusal_of(db, request.buyer_id, terms.purpose, meant)
    if refused is not None:
        return record_refusal(db, actor, terms.purpose, row, refused, now, {"request": request.id})

    return put_instead(db, actor, request, terms, step, Reason.COUNTERED, now, {})


def put_instead(
    db: Session,
    actor: Actor,
    request: AccessRequest,
    terms: Terms,
    step: Step,
    reason: Reason,
    now: datetime,
    about: Json,
) -> AccessRequest:
    """Put other terms on the table by a checked step of the buyer's side.  about: further facts of the entry."""
    replaced: Json = {"replaced": request.agreement_id}
    close_draft(db, request, "superseded", now)
    proposal = table.put_on_table(db, request, terms, Side.BUYER, now)
    request.agreement_id, request.purpose = None, terms.purpose
    request.reason, request.note = reason, ""
    move(db, actor, request, step, now, table.about(proposal) | replaced | about)
    ask_for_answer(db, request, proposal, now)
    return request


def accept(db: Session, actor: Actor, request: AccessRequest, document: str, now: datetime) -> AccessRequest:
    """Accept the agreement that was offered, before either signature; accepting it again changes nothing.

    document: SHA-256 of that agreement.  Where the provider signed it already, both agree with this.
    Raises WrongState, NotYourStep, NotTheOffer, and what signing raises of an agreement that may not be signed.
    Records: negotiation:offer_accepted, and negotiation:agreement_signed where the provider signed before.
    """
    queries.lock(db, request)
    offered = queries.agreement(db, request.agreement_id) if request.agreement_id else None

    if queries.side_of(request, actor) != Side.BUYER:
        raise NotYourStep("the buyer accepts an offer", expected=Side.BUYER, got=actor.participant)
    if offered is not None and document != offered.document:
        raise NotTheOffer("accept the agreement that was offered last", expected=offered.document, got=document)
    if offered is not None and request.state in AFTER_ACCEPTANCE:
        return request
    step = step_of(request, actor, State.ACCEPTED, now, Side.BUYER)
    if offered is not None:
        signing.require_signable(db, actor, offered, request, now)

    request.reason, request.note = Reason.ACCEPTED, ""
    move(db, actor, request, step, now)
    if offered is not None:
        signing.follow_signatures(db, actor, offered, request, now)
    return request
