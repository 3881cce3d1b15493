"""The provider's moves: offer what lies on the table or something else, offer unasked, draft in order to sign first."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag
from marketplace.exchange import queries as exchange
from marketplace.exchange.queries import CatalogueRow
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Conflict, Forbidden, shown
from marketplace.kernel.ids import new_id
from marketplace.kernel.transitions import Step, WrongState
from marketplace.negotiation import queries
from marketplace.negotiation.drafting import draft, term
from marketplace.negotiation.eligibility import record_refusal, refusal_of, require_eligible
from marketplace.negotiation.models import AccessRequest, Agreement
from marketplace.negotiation.rounds import queries as rounds
from marketplace.negotiation.rounds import terms as table
from marketplace.negotiation.rounds.asking import ask_for_acceptance
from marketplace.negotiation.rounds.reviewing import require_reviewed
from marketplace.negotiation.rounds.schemas import DirectOfferIn, TermsIn
from marketplace.negotiation.rounds.terms import Terms
from marketplace.negotiation.rules import ANSWER_WITHIN, NEGOTIATION, Reason, Refusal, Side, State
from marketplace.negotiation.steps import close_draft, move, record_request, save, step_of, watch
from marketplace.participants import queries as participants
from marketplace.participants.models import Participant


class AwaitsCompletion(Conflict):
    """The request was returned and the buyer has not completed it."""


class NotYourListing(Forbidden):
    """Only the provider of a listing offers under it."""


class NotToBuyer(Conflict):
    """An offer goes to another participant that buys."""


def offer(db: Session, actor: Actor, request: AccessRequest, asked: TermsIn, now: datetime) -> Agreement:
    """Offer what lies on the table, or other terms in its place: drafts the agreement that both are to sign.

    The same offer again is the same agreement.  Every fact is judged anew.  Raises WrongState, NotYourStep,
    NegotiationExpired, AwaitsCompletion, NotInCatalogue, RefusedOnReview, ReviewsMissing, and what `terms.fitting`
    raises.  Records: negotiation:offer_made.
    """
    queries.lock(db, request)
    before = table.on_table(db, request)
    terms = before.changed(asked)
    if request.state == State.OFFERED and request.agreement_id is not None and terms == before:
        return queries.agreement(db, request.agreement_id)
    row = exchange.visible_listing(db, request.listing_id, now, reader=request.buyer_id)

    step = step_of(request, actor, State.OFFERED, now, Side.PROVIDER)
    require_complete(request)
    meant = table.fitting(db, row, terms, now)
    require_eligible(db, request.buyer_id, terms.purpose, meant)
    require_reviewed(db, request, terms)

    if terms != before:
        table.put_on_table(db, request, terms, Side.PROVIDER, now)
    reason = Reason.AS_ASKED if terms == before else Reason.OTHERWISE
    return send_offer(db, actor, request, meant, terms, step, reason, now)


def send_offer(
    db: Session,
    actor: Actor,
    request: AccessRequest,
    meant: CatalogueRow,
    terms: Terms,
    step: Step,
    reason: Reason,
    now: datetime,
    about: Json | None = None,
    *,
    by_rule: str | None = None,
) -> Agreement:
    """Draft what lies on the table and take the checked step.

    about: further facts of the entry; by_rule: SHA-256 of the rule that offers it, None for a person.
    """
    close_draft(db, request, "superseded", now)
    proposal = table.about(rounds.latest(db, request.id))
    agreement = _draft(db, request, meant, terms, proposal, now)
    agreement.by_rule = by_rule
    db.add(agreement)
    request.agreement_id, request.answered_at = agreement.id, now
    request.purpose, request.reason, request.note = terms.purpose, reason, ""
    move(db, actor, request, step, now, proposal | (about or {}))
    ask_for_acceptance(db, request, now)
    return agreement


def draft_to_sign(db: Session, actor: Actor, request: AccessRequest, now: datetime) -> Agreement:
    """Draft what the buyer asked for without offering it: the provider's signature then agrees at once.

    Drafting again gives the same agreement.  Raises WrongState, NotYourStep, and what `offer` raises.
    Records: negotiation:agreement_drafted.
    """
    queries.lock(db, request)
    if request.state == State.REQUESTED and request.agreement_id is not None:
        return queries.agreement(db, request.agreement_id)
    row = exchange.visible_listing(db, request.listing_id, now, reader=request.buyer_id)

    step_of(request, actor, State.AGREED, now, Side.PROVIDER)
    if request.state != State.REQUESTED:
        raise WrongState("an offer lies with the buyer already", expected=State.REQUESTED, got=request.state)
    require_complete(request)
    terms = table.on_table(db, request)
    meant = table.fitting(db, row, terms, now)
    require_eligible(db, request.buyer_id, terms.purpose, meant)
    require_reviewed(db, request, terms)

    proposal = table.about(rounds.latest(db, request.id))
    agreement = _draft(db, request, meant, terms, proposal, now)
    request.agreement_id = agreement.id
    save(db, request)

    record_request(db, actor, Tag.AGREEMENT_DRAFTED, request, now, proposal)
    return agreement


def offer_directly(db: Session, actor: Actor, asked: DirectOfferIn, now: datetime) -> AccessRequest | Refusal:
    """Offer terms to a buyer that has not asked; the same open offer made again is the same negotiation.

    A buyer that may not have access is answered with a Refusal value.  Raises NotInCatalogue, NotYourListing,
    NotToBuyer, ReviewsMissing, and what `terms.fitting` raises.
    Records: negotiation:offer_made or negotiation:access_refused.
    """
    row = exchange.visible_listing(db, asked.listing, now, reader=asked.buyer)
    buyer = _buyer(db, asked.buyer)
    terms = table.listed(row.offer, asked.purpose).changed(asked.terms)
    queries.hold_opening(db, buyer.id, asked.listing)
    running = queries.open_requests(db, buyer.id, asked.listing)

    _require_seller(actor, row, buyer.id, buyer.roles)
    for known in running:
        if known.state == State.OFFERED and known.expires_at > now and table.on_table(db, known) == terms:
            return known
    meant = table.fitting(db, row, terms, now)
    refused = refusal_of(db, buyer.id, terms.purpose, meant)
    if refused is not None:
        return record_refusal(db, actor, terms.purpose, row, refused, now, {"buyer": buyer.id})

    request = _unasked(row, buyer.id, terms.purpose, now)
    save(db, request)
    watch(db, request, now)
    proposal = table.about(table.put_on_table(db, request, terms, Side.PROVIDER, now))
    require_reviewed(db, request, terms)
    request.agreement_id = _draft(db, request, meant, terms, proposal, now).id
    save(db, request)
    ask_for_acceptance(db, request, now)

    record_request(db, actor, Tag.OFFER_MADE, request, now, proposal)
    return request


def require_complete(request: AccessRequest) -> None:
    """Raises AwaitsCompletion while the buyer has the request back."""
    if request.reason == Reason.RETURNED:
        raise AwaitsCompletion("the buyer has to complete the request first", got=request.note)


def _draft(
    db: Session, request: AccessRequest, meant: CatalogueRow, terms: Terms, proposal: Json, now: datetime
) -> Agreement:
    starts_at, ends_at = term(terms.starts_at, meant, now)
    return draft(db, request, meant, starts_at, ends_at, now, proposal)


def _buyer(db: Session, buyer_id: str) -> Participant:
    try:
        return participants.participant(db, buyer_id)
    except participants.NoSuchParticipant:
        # What was typed is not said back: it may be a person's name.
        raise NotToBuyer("no participant with this id", got=shown(buyer_id)) from None


def _require_seller(actor: Actor, row: CatalogueRow, buyer_id: str, roles: list[str]) -> None:
    if row.offer.provider_id != actor.participant:
        raise NotYourListing("this is another provider's listing", got=row.listing.id)
    if buyer_id == actor.participant or Role.BUYER not in roles:
        raise NotToBuyer("an offer goes to another participant with the role buyer", got=", ".join(roles))


def _unasked(row: CatalogueRow, buyer_id: str, purpose: str, now: datetime) -> AccessRequest:
    NEGOTIATION.step(State.REQUESTED, State.OFFERED, [Side.PROVIDER])
    return AccessRequest(
        id=new_id("req"),
        listing_id=row.listing.id,
        offer_id=row.offer.id,
        buyer_id=buyer_id,
        provider_id=row.offer.provider_id,
        state=State.OFFERED,
        purpose=purpose,
        justification="",
        evidence=[],
        reason=Reason.DIRECTLY,
        asked_at=now,
        answered_at=now,
        expires_at=now + ANSWER_WITHIN,
    )
