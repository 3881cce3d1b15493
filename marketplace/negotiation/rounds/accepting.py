"""Answers for a buyer: a rule that it signed says what is accepted or countered by itself; policy judges each offer.

Nothing is agreed by it: the agreement needs the buyer's own signature, with a key that the service never holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlmodel import Session

from marketplace.assets import queries as assets
from marketplace.audit import documents
from marketplace.audit.entry import Tag, record
from marketplace.exchange import queries as exchange
from marketplace.kernel.actor import SERVICE_ACTOR, Actor, Role
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import DomainError, Forbidden
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation import signing
from marketplace.negotiation.eligibility import known_buyer
from marketplace.negotiation.models import AccessRequest
from marketplace.negotiation.rounds import queries, replying
from marketplace.negotiation.rounds import terms as table
from marketplace.negotiation.rounds.byrule import leave, offerable
from marketplace.negotiation.rounds.models import AcceptanceRule
from marketplace.negotiation.rounds.rules import (
    ACCEPTANCE,
    AcceptableFacts,
    AcceptanceFacts,
    AcceptingFacts,
    ProviderFacts,
    at_price,
    offer_facts,
    require_acceptable,
    sealed,
    told,
)
from marketplace.negotiation.rounds.schemas import AcceptanceRuleIn
from marketplace.negotiation.rounds.terms import Terms
from marketplace.negotiation.rules import NEGOTIATION, Reason, Side, State
from marketplace.negotiation.steps import move
from marketplace.participants import queries as participants
from marketplace.participants.signatures import accept
from marketplace.plumbing import policyreleases
from marketplace.plumbing.policy import UNAVAILABLE, Decision, denial
from marketplace.plumbing.runtime import Runtime

KIND = "acceptance-rule"
NOT_ACCEPTABLE = "not_acceptable"


class NotYourRule(Forbidden):
    """A buyer signs a rule for itself."""


@dataclass(frozen=True)
class Offered:
    """What the policy is asked about, and what its answer holds for.

    rule: SHA-256 of the rule; agreement: id of the draft that was offered; facts: of accepting it; countering: of
    asking for `instead`, None where the rule never does.
    """

    request: str
    rule: str
    agreement: str
    facts: Json
    instead: Terms | None = None
    countering: Json | None = None


def set_rule(db: Session, actor: Actor, listing_id: str, asked: AcceptanceRuleIn, now: datetime) -> AcceptanceRule:
    """Say by a signed document how offers under a listing are answered from now on; the same again changes nothing.

    What lies with the buyer already is not asked about again.
    Raises NotYourRule, NotInCatalogue, UnsoundRule, BadSignature, UnknownKey.
    Records: participant:signature_accepted, negotiation:acceptance_rule_set.
    """
    require_buyer(actor)
    row = exchange.visible_listing(db, listing_id, now, reader=actor.participant)
    exchange.lock(db, row.listing)
    known = queries.acceptance_rule(db, actor.participant, listing_id)
    content = asked.rule.model_dump()

    if (asked.rule.buyer, asked.rule.listing) != (actor.participant, listing_id):
        raise NotYourRule("name yourself and this listing", expected=f"{actor.participant}, {listing_id}")
    if row.offer.provider_id == actor.participant:
        raise NotYourRule("this is a listing of your own", got=listing_id)
    require_acceptable(asked.rule.automatic)
    name = documents.keep(db, KIND, content, now, readers=[actor.participant])
    accept(db, actor.participant, name, asked.jws, typ=f"{KIND}+jws", now=now)
    if known is not None and known.document == name:
        return known

    rule = known or AcceptanceRule(buyer_id=actor.participant, listing_id=listing_id, document=name, set_at=now)
    rule.document, rule.automatic, rule.set_at = name, content["automatic"], now
    db.add(rule)
    db.flush()

    facts: Json = {"listing": listing_id, "rule": name}
    record(db, actor, Tag.ACCEPTANCE_RULE_SET, now, asset=row.asset.id, version=row.version.id, facts=facts)
    return rule


def require_buyer(actor: Actor) -> None:
    """Raises NotYourRule."""
    if not actor.has(Role.BUYER):
        raise NotYourRule("a rule for offers is a buyer's", got=", ".join(sorted(actor.roles)))


def answer(runtime: Runtime, request_id: str) -> Callable[[Session], None] | None:
    """Ask the policy about what a provider offered, and have it accepted or countered if the buyer's rule says so.

    Returns what is done in a transaction then, None where nothing is asked.  The policy is asked before anything is
    held.  Asked again, nothing more happens.
    Records: negotiation:offer_accepted, negotiation:offer_countered or negotiation:answer_left_to_people, with rule
    and policy revision.
    """
    with runtime.database.reading() as db:
        offered, found = gather(db, request_id, runtime.clock.now()), policyreleases.newest(db)
    if offered is None:
        return None
    now = runtime.clock.now()
    decision = policyreleases.decide(runtime, found, now, ACCEPTANCE, offered.facts)
    other = None
    if not decision.allow and offered.countering is not None:
        other = policyreleases.decide(runtime, found, now, ACCEPTANCE, offered.countering)
    return partial(_answer, runtime, offered, decision, other)


def _answer(runtime: Runtime, offered: Offered, decision: Decision, other: Decision | None, db: Session) -> None:
    now = runtime.clock.now()
    if not all(policyreleases.still_decides(db, one, now, runtime.settings) for one in (decision, other) if one):
        decision, other = denial(UNAVAILABLE, decision.revision), None
    settle(db, offered, decision, other, now)


def gather(db: Session, request_id: str, now: datetime) -> Offered | None:
    """Everything the policy is told about an offer; None when it is not the rule's turn."""
    request = negotiation.request(db, request_id)
    rule, latest = queries.acceptance_rule(db, request.buyer_id, request.listing_id), queries.latest(db, request_id)
    if rule is None or rule.automatic is None or latest is None or not _waits(request, now):
        return None
    own, terms = _own(db, request), table.proposed(latest)
    number = latest.round + queries.tried(db, request, Side.PROVIDER, rule.set_at)
    price = rule.automatic["counter_price_fen"]
    instead = at_price(terms, price) if price is not None else None
    facts = AcceptanceFacts(
        now=int(now.timestamp()),
        move="accept",
        rule=_rule_facts(rule.automatic),
        proposal=offer_facts(number, own, terms, lies=True),
        provider=_provider_facts(db, request.provider_id),
        buyer=_buyer_facts(db, request),
        contains_genomic=assets.asset(db, exchange.listing(db, request.listing_id).asset_id).contains_genomic,
    )
    countering = None
    if instead is not None and instead != terms:
        meant = offer_facts(number + 1, own, instead, lies=True)
        countering = facts.model_copy(update={"move": "counter", "proposal": meant}).model_dump()
    return Offered(request_id, rule.document, request.agreement_id or "", facts.model_dump(), instead, countering)


def settle(db: Session, offered: Offered, decision: Decision, other: Decision | None, now: datetime) -> None:
    """Do what the policy said, unless somebody moved meanwhile.  other: its answer about the counter-offer."""
    request = negotiation.held(db, offered.request)
    rule = queries.acceptance_rule(db, request.buyer_id, request.listing_id)

    same = rule is not None and (rule.document, request.agreement_id) == (offered.rule, offered.agreement)
    if not same or not _waits(request, now):
        return
    content = documents.content(db, offered.rule)
    about: Json = {"rule": offered.rule, "revision": decision.revision, "facts": sealed(content, offered.facts)}
    if decision.allow and _accept(db, request, about, now):
        return
    if other is not None and other.allow and offered.instead is not None and offered.countering is not None:
        # The reason is that of the state itself: only a price of access that is too high is countered.
        why = about | {"facts": sealed(content, offered.countering), "reasons": list(decision.reasons)}
        if _counter(db, request, offered.instead, why, now):
            return
    leave(db, request, Reason.LEFT_BY_BUYER, about | {"reasons": told(decision.reasons, NOT_ACCEPTABLE)}, now)


def _accept(db: Session, request: AccessRequest, about: Json, now: datetime) -> bool:
    """Accept as the buyer could itself now; false where it could not."""
    agreement = negotiation.agreement(db, str(request.agreement_id))
    try:
        signing.require_signable(db, SERVICE_ACTOR, agreement, request, now)
    except DomainError:
        return False
    step = NEGOTIATION.step(State(request.state), State.ACCEPTED, [Side.SERVICE])

    request.reason, request.note = Reason.ACCEPTED_BY_RULE, ""
    move(db, SERVICE_ACTOR, request, step, now, about | {"document": agreement.document})
    signing.follow_signatures(db, SERVICE_ACTOR, agreement, request, now)
    return True


def _counter(db: Session, request: AccessRequest, instead: Terms, about: Json, now: datetime) -> bool:
    """Ask for another price as the buyer could itself now; false where it could not."""
    if offerable(db, request, instead, now) is None:
        return False
    step = NEGOTIATION.step(State(request.state), State.REQUESTED, [Side.SERVICE])

    replying.put_instead(db, SERVICE_ACTOR, request, instead, step, Reason.COUNTERED_BY_RULE, now, about)
    return True


def _waits(request: AccessRequest, now: datetime) -> bool:
    """Whether an offer lies with the buyer unanswered, and was not left to its people already."""
    unanswered = request.reason != Reason.LEFT_BY_BUYER and request.agreement_id is not None
    return request.state == State.OFFERED and unanswered and request.expires_at > now


def _own(db: Session, request: AccessRequest) -> Terms:
    """What the buyer asked for last, or the listing where it never asked for anything."""
    asked = queries.latest_by(db, request.id, Side.BUYER)
    return table.proposed(asked) if asked else table.listed(exchange.offer(db, request.offer_id), request.purpose)


def _rule_facts(automatic: Json) -> AcceptableFacts:
    said = {name: value for name, value in automatic.items() if name != "counter_price_fen"}
    return AcceptableFacts(**said, counters=automatic["counter_price_fen"] is not None)


def _provider_facts(db: Session, provider_id: str) -> ProviderFacts:
    known = participants.participant(db, provider_id)
    verified = bool(known.verified_by and known.verification_method)
    return ProviderFacts(id=provider_id, verified=verified, suspended=known.suspended_at is not None)


def _buyer_facts(db: Session, request: AccessRequest) -> AcceptingFacts:
    known = known_buyer(db, request.buyer_id, request.provider_id)
    return AcceptingFacts(
        id=request.buyer_id,
        verified=known.verified,
        suspended=known.suspended,
        foreign_controlled=known.foreign_controlled,
        overdue=list(known.overdue),
    )
