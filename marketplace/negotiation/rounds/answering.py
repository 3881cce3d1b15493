"""Answers by rule: the provider says under which conditions a request is offered as asked, and policy judges each.

The rule is data; `policies/negotiation/` decides, in whichever engine runs.  No valid decision leaves it to people.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from sqlmodel import Session

from marketplace.assets import queries as assets
from marketplace.audit import documents, persons
from marketplace.audit.entry import Tag, record
from marketplace.exchange import queries as exchange
from marketplace.exchange.models import Listing
from marketplace.kernel.actor import SERVICE_ACTOR, Actor
from marketplace.kernel.canonical import Json
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.eligibility import known_buyer
from marketplace.negotiation.models import AccessRequest
from marketplace.negotiation.rounds import queries
from marketplace.negotiation.rounds import terms as table
from marketplace.negotiation.rounds.byrule import leave, offerable
from marketplace.negotiation.rounds.models import AnswerRule
from marketplace.negotiation.rounds.offering import NotYourListing, send_offer
from marketplace.negotiation.rounds.rules import (
    PACKAGE,
    AnswerFacts,
    BuyerFacts,
    RuleFacts,
    proposal_facts,
    require_sound,
    sealed,
    told,
)
from marketplace.negotiation.rounds.schemas import AnswerRuleIn
from marketplace.negotiation.rules import NEGOTIATION, Reason, Side, State
from marketplace.participants import queries as participants
from marketplace.plumbing import policyreleases
from marketplace.plumbing.policy import UNAVAILABLE, Decision, denial
from marketplace.plumbing.runtime import Runtime

KIND = "answer-rule"
NOT_OFFERABLE = "not_offerable"


@dataclass(frozen=True)
class Question:
    """What the policy is asked about, and what the answer holds for.  rule, proposal: SHA-256 of their documents."""

    request: str
    rule: str
    proposal: str
    facts: Json


def set_rule(db: Session, actor: Actor, listing: Listing, asked: AnswerRuleIn, now: datetime) -> AnswerRule:
    """Say how requests under a listing are answered from now on; the same rule again changes nothing.

    Persons are kept as commitments.  What lies on the table already is not asked about again.
    Raises NotYourListing, UnsoundRule.  Records: negotiation:answer_rule_set.
    """
    exchange.lock(db, listing)
    known = queries.rule(db, listing.id)

    if exchange.offer(db, listing.offer_id).provider_id != actor.participant:
        raise NotYourListing("this is another provider's listing", got=listing.id)
    require_sound(asked)
    said = asked.model_dump() | {"reviews": [_office(db, actor, one.model_dump(), now) for one in asked.reviews]}
    if known is not None and (known.automatic, known.reviews) == (said["automatic"], said["reviews"]):
        return known
    # Who reads the entry, a buyer too, could else find the lowest price by trying hashes.
    salt = os.urandom(16).hex()
    content: Json = {"type": KIND, "v": 1, "listing": listing.id, "provider": actor.participant, **said, "salt": salt}
    name = documents.keep(db, KIND, content, now, readers=[actor.participant])

    rule = known or AnswerRule(listing_id=listing.id, document=name, reviews=[], set_at=now)
    rule.document, rule.automatic, rule.reviews, rule.set_at = name, said["automatic"], said["reviews"], now
    db.add(rule)
    db.flush()

    facts: Json = {"listing": listing.id, "rule": name}
    record(db, actor, Tag.ANSWER_RULE_SET, now, asset=listing.asset_id, version=listing.version_id, facts=facts)
    return rule


def answer(runtime: Runtime, request_id: str) -> Callable[[Session], None] | None:
    """Ask the policy about what a buyer put on the table, and have it offered if the rule says so.

    Returns what is done in a transaction then, None where nothing is asked.  The policy is asked before anything is
    held.  Asked again, nothing more happens.
    Records: negotiation:offer_made or negotiation:answer_left_to_people, with rule and policy revision.
    """
    with runtime.database.reading() as db:
        question, found = gather(db, request_id, runtime.clock.now()), policyreleases.newest(db)
    if question is None:
        return None
    decision = policyreleases.decide(runtime, found, runtime.clock.now(), PACKAGE, question.facts)
    return partial(_answer, runtime, question, decision)


def _answer(runtime: Runtime, question: Question, decision: Decision, db: Session) -> None:
    now = runtime.clock.now()
    if not policyreleases.still_decides(db, decision, now, runtime.settings):
        decision = denial(UNAVAILABLE, decision.revision)
    settle(db, question, decision, now)


def gather(db: Session, request_id: str, now: datetime) -> Question | None:
    """Everything the policy is told about what lies on the table; None when it is not the rule's turn."""
    request = negotiation.request(db, request_id)
    rule, latest = queries.rule(db, request.listing_id), queries.latest(db, request_id)
    if rule is None or rule.automatic is None or latest is None or not _waits(request, now):
        return None
    listing = exchange.listing(db, request.listing_id)
    listed = table.listed(exchange.offer(db, request.offer_id), latest.purpose)
    tried = queries.tried(db, request, Side.BUYER, rule.set_at)
    facts = AnswerFacts(
        now=int(now.timestamp()),
        rule=RuleFacts(**rule.automatic),
        proposal=proposal_facts(latest.round + tried, latest.by, listed, table.proposed(latest)),
        buyer=_buyer_facts(db, request),
        contains_genomic=_contains_genomic(db, listing),
    )
    return Question(request_id, rule.document, latest.document, facts.model_dump())


def settle(db: Session, question: Question, decision: Decision, now: datetime) -> None:
    """Do what the policy said, unless somebody moved meanwhile."""
    request = negotiation.held(db, question.request)
    rule, latest = queries.rule(db, request.listing_id), queries.latest(db, request.id)

    if rule is None or latest is None or not _waits(request, now):
        return
    if (rule.document, latest.document) != (question.rule, question.proposal):
        return
    about: Json = {"rule": question.rule, "revision": decision.revision}
    about |= {"facts": sealed(documents.content(db, question.rule), question.facts)}
    terms = table.proposed(latest)
    meant = offerable(db, request, terms, now) if decision.allow else None
    if meant is None:
        leave(db, request, Reason.LEFT, about | {"reasons": told(decision.reasons, NOT_OFFERABLE)}, now)
        return
    step = NEGOTIATION.step(State(request.state), State.OFFERED, [Side.SERVICE])

    send_offer(db, SERVICE_ACTOR, request, meant, terms, step, Reason.BY_RULE, now, about, by_rule=question.rule)


def _waits(request: AccessRequest, now: datetime) -> bool:
    """Whether what the buyer put on the table is unanswered, and was not left to people already."""
    unanswered = request.reason not in {Reason.RETURNED, Reason.LEFT} and request.agreement_id is None
    return request.state == State.REQUESTED and unanswered and request.expires_at > now


def _buyer_facts(db: Session, request: AccessRequest) -> BuyerFacts:
    known = known_buyer(db, request.buyer_id, request.provider_id)
    return BuyerFacts(
        id=request.buyer_id,
        kind=participants.participant(db, request.buyer_id).kind,
        verified=known.verified,
        suspended=known.suspended,
        foreign_controlled=known.foreign_controlled,
        overdue=list(known.overdue),
    )


def _contains_genomic(db: Session, listing: Listing) -> bool:
    return assets.asset(db, listing.asset_id).contains_genomic


def _office(db: Session, actor: Actor, office: Json, now: datetime) -> Json:
    named = [persons.introduce(db, replace(actor, person=one), now) for one in office["persons"]]
    return office | {"persons": named}
