"""The rounds of a negotiation over HTTP."""

from __future__ import annotations

from fastapi import Response

from marketplace.exchange import queries as exchange
from marketplace.negotiation import queries
from marketplace.negotiation.replies import agreement_out, refused
from marketplace.negotiation.rounds import accepting, answering, offering, replying, reviewing
from marketplace.negotiation.rounds import queries as rounds
from marketplace.negotiation.rounds.schemas import (
    AcceptanceIn,
    AcceptanceRuleIn,
    AcceptanceRuleOut,
    AnswerRuleIn,
    AnswerRuleOut,
    DirectOfferIn,
    ReviewIn,
    ReviewOut,
    RoundOut,
    TermsIn,
)
from marketplace.negotiation.rounds.shown import request_out, rounds_out
from marketplace.negotiation.rules import Refusal
from marketplace.negotiation.schemas import AgreementOut, RequestOut
from marketplace.plumbing.web import Verb, View, router

routes = router("negotiation")


@routes.get("/requests/{request_id}/rounds", operation_id="list_rounds")
def list_rounds(view: View, request_id: str) -> list[RoundOut]:
    """What each side proposed, round by round, with what changed in words; for both parties."""
    return rounds_out(view.db, queries.own_request(view.db, view.actor, request_id))


@routes.post("/requests/{request_id}/offer", status_code=201, operation_id="offer_terms")
def offer_terms(verb: Verb, request_id: str, asked: TermsIn) -> AgreementOut:
    """The provider offers what lies on the table with other terms in its place: the agreement is drafted."""
    request = queries.own_request(verb.db, verb.actor, request_id)
    return agreement_out(verb.db, offering.offer(verb.db, verb.actor, request, asked, verb.now))


@routes.post("/requests/{request_id}/counter-offer", operation_id="counter_offer", response_model=RequestOut)
def counter_offer(verb: Verb, request_id: str, asked: TermsIn) -> RequestOut | Response:
    """The buyer asks for other terms than were offered; a refusal is a recorded 403 with its reason codes."""
    request = queries.own_request(verb.db, verb.actor, request_id)
    answer = replying.counter(verb.db, verb.actor, request, asked, verb.now)
    return refused(answer) if isinstance(answer, Refusal) else request_out(verb.db, answer)


@routes.post("/requests/{request_id}/acceptance", operation_id="accept_offer")
def accept_offer(verb: Verb, request_id: str, asked: AcceptanceIn) -> RequestOut:
    """The buyer accepts the agreement that was offered; signatures follow."""
    request = queries.own_request(verb.db, verb.actor, request_id)
    return request_out(verb.db, replying.accept(verb.db, verb.actor, request, asked.document, verb.now))


@routes.post("/requests/{request_id}/draft", status_code=201, operation_id="draft_agreement")
def draft_agreement(verb: Verb, request_id: str) -> AgreementOut:
    """The provider has what was asked for drafted, to agree by signing it first."""
    request = queries.own_request(verb.db, verb.actor, request_id)
    return agreement_out(verb.db, offering.draft_to_sign(verb.db, verb.actor, request, verb.now))


@routes.post("/requests/{request_id}/reviews", operation_id="review_terms")
def review_terms(verb: Verb, request_id: str, asked: ReviewIn) -> ReviewOut:
    """A person of the provider approves terms for an office, before they are offered."""
    request = queries.own_request(verb.db, verb.actor, request_id)
    terms = reviewing.review(verb.db, verb.actor, request, asked, verb.now)
    given = [one.office for one in rounds.reviews(verb.db, request.id, terms.sha256)]
    missing = reviewing.missing_reviews(verb.db, request, terms)
    return ReviewOut(terms=terms.sha256, approved=given, missing=missing)


@routes.post("/direct-offers", status_code=201, operation_id="offer_directly", response_model=RequestOut)
def offer_directly(verb: Verb, asked: DirectOfferIn) -> RequestOut | Response:
    """A provider offers to a buyer that has not asked; a refusal is a recorded 403 with its reason codes."""
    answer = offering.offer_directly(verb.db, verb.actor, asked, verb.now)
    return refused(answer) if isinstance(answer, Refusal) else request_out(verb.db, answer)


@routes.get("/listings/{listing_id}/answer-rule", operation_id="get_answer_rule")
def get_answer_rule(view: View, listing_id: str) -> AnswerRuleOut:
    """How requests under a listing are answered, for its provider."""
    listing = exchange.own_listing(view.db, view.actor, listing_id)
    exchange.own_offer(view.db, view.actor, listing.offer_id)
    return AnswerRuleOut.model_validate(rounds.rule_of(view.db, listing_id))


@routes.post("/listings/{listing_id}/answer-rule", operation_id="set_answer_rule")
def set_answer_rule(verb: Verb, listing_id: str, asked: AnswerRuleIn) -> AnswerRuleOut:
    """The provider says how requests under a listing are answered from now on."""
    listing = exchange.own_listing(verb.db, verb.actor, listing_id)
    return AnswerRuleOut.model_validate(answering.set_rule(verb.db, verb.actor, listing, asked, verb.now))


@routes.get("/listings/{listing_id}/acceptance-rule", operation_id="get_acceptance_rule")
def get_acceptance_rule(view: View, listing_id: str) -> AcceptanceRuleOut:
    """How offers to the calling buyer under a listing are answered."""
    accepting.require_buyer(view.actor)
    return AcceptanceRuleOut.model_validate(rounds.acceptance_rule_of(view.db, view.actor.participant, listing_id))


@routes.post("/listings/{listing_id}/acceptance-rule", operation_id="set_acceptance_rule")
def set_acceptance_rule(verb: Verb, listing_id: str, asked: AcceptanceRuleIn) -> AcceptanceRuleOut:
    """The buyer says by a signed document how offers to it under a listing are answered from now on."""
    rule = accepting.set_rule(verb.db, verb.actor, listing_id, asked, verb.now)
    return AcceptanceRuleOut.model_validate(rule)
