"""Who of the provider must approve terms before they are offered: persons, for offices, each counted once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlmodel import Session

from marketplace.audit import persons
from marketplace.audit.entry import Tag
from marketplace.exchange import queries as exchange
from marketplace.kernel.actor import Actor
from marketplace.kernel.errors import Conflict, Forbidden, Invalid
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import AccessRequest, Agreement
from marketplace.negotiation.rounds import queries
from marketplace.negotiation.rounds import terms as table
from marketplace.negotiation.rounds.models import ProposalReview
from marketplace.negotiation.rounds.schemas import ReviewIn
from marketplace.negotiation.rounds.terms import Terms
from marketplace.negotiation.rules import Side, State
from marketplace.negotiation.steps import record_request, require_running, step_of


class ReviewsMissing(Conflict):
    """The provider's own rule asks for more approvals of these terms."""


class NotAReviewer(Forbidden):
    """Only a person who speaks for an office approves for it."""


class NoSuchOffice(Invalid):
    """The rule of this listing asks for no approval by this office."""


def review(db: Session, actor: Actor, request: AccessRequest, asked: ReviewIn, now: datetime) -> Terms:
    """A person approves terms for an office, before they are offered; the same again changes nothing.

    Once they are offered the same terms can be approved still, until both sides have signed: a rule may have come
    after the offer.
    Returns the terms.  Raises WrongState, NotYourStep, NegotiationExpired, NoSuchOffice, NotAReviewer,
    NotInCatalogue, and what `terms.fitting` raises.  Records: negotiation:terms_reviewed.
    """
    negotiation.lock(db, request)
    row = exchange.visible_listing(db, request.listing_id, now, reader=request.buyer_id)
    rule = queries.rule(db, request.listing_id)

    before = table.on_table(db, request)
    terms = before.changed(asked.terms)
    _require_reviewable(request, actor, now, offered=terms == before)
    table.fitting(db, row, terms, now)
    reviewer = speaker(db, actor, rule.reviews if rule else [], asked.office, now)
    key = {"request_id": request.id, "terms": terms.sha256, "office": asked.office, "reviewer": reviewer}
    if db.get(ProposalReview, tuple(key.values())) is not None:
        return terms

    db.add(ProposalReview(**key, approved_at=now))
    db.flush()

    record_request(db, actor, Tag.TERMS_REVIEWED, request, now, {"office": asked.office, "terms": terms.sha256})
    return terms


def require_approved(
    db: Session, request: AccessRequest, agreement: Agreement, actor: Actor, signed: Collection[str]
) -> None:
    """Raises ReviewsMissing where the rule, also one that came after the offer, asks for approvals that it lacks.

    The provider would be bound by its own signature, or by the buyer's after it.  What this very rule offered needs
    none; moments do not tell, as of two the earlier may be that of the later transaction.  signed: who signed already.
    """
    provider = agreement.provider_id
    rule = queries.rule(db, request.listing_id)
    if provider not in {actor.participant, *signed} or rule is None:
        return
    if agreement.by_rule == rule.document:
        return
    terms = table.on_table(db, request)
    if actor.participant == provider:
        require_reviewed(db, request, terms)
    elif missing_reviews(db, request, terms):
        # Which offices a provider has is its own affair.
        raise ReviewsMissing(
            "the provider's offices have not approved these terms yet",
            got=agreement.document,
            action="wait for the provider's approvals, or ask it for them",
        )


def _require_reviewable(request: AccessRequest, actor: Actor, now: datetime, *, offered: bool) -> None:
    """Raises WrongState, NotYourStep, NegotiationExpired.  offered: whether these terms lie on the table."""
    lies = State(request.state) in {State.OFFERED, State.ACCEPTED, State.AGREED}
    if lies and offered and negotiation.side_of(request, actor) == Side.PROVIDER:
        require_running(request, now)
        return
    step_of(request, actor, State.OFFERED, now, Side.PROVIDER)


def require_reviewed(db: Session, request: AccessRequest, terms: Terms) -> None:
    """Raises ReviewsMissing while an office that the provider named has not approved exactly these terms."""
    missing = missing_reviews(db, request, terms)
    if missing:
        raise ReviewsMissing(
            "these terms are not approved yet",
            expected=", ".join(f"{number} more of {office}" for office, number in missing.items()),
            got=terms.sha256,
            action="POST /v1/requests/{request_id}/reviews as each of these persons, then offer the same terms",
        )


def missing_reviews(db: Session, request: AccessRequest, terms: Terms) -> dict[str, int]:
    """Office -> approvals that are still needed for these terms; empty when they may be offered."""
    rule = queries.rule(db, request.listing_id)
    if rule is None or not rule.reviews:
        return {}
    given = [(one.office, one.reviewer) for one in queries.reviews(db, request.id, terms.sha256)]
    return still_missing(rule.reviews, given)


def still_missing(offices: Sequence[Mapping[str, Any]], given: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Office -> approvals still needed.  given: (office, reviewer) in order; a person counts for one office, the first.

    An approval of somebody who does not speak for the office any more does not count.
    """
    counted: dict[str, str] = {}
    speakers = {one["office"]: one["persons"] for one in offices}
    for office, reviewer in given:
        if office in speakers and (not speakers[office] or reviewer in speakers[office]):
            counted.setdefault(reviewer, office)
    reached = list(counted.values())
    needed = {one["office"]: one["approvals"] - reached.count(one["office"]) for one in offices}
    return {office: number for office, number in needed.items() if number > 0}


def speaker(db: Session, actor: Actor, offices: Sequence[Mapping[str, Any]], office: str, now: datetime) -> str:
    """The commitment to the person who acts, who must speak for the office.  Raises NoSuchOffice, NotAReviewer."""
    known = {one["office"]: one["persons"] for one in offices}
    if office not in known:
        raise NoSuchOffice("name an office of the rule", expected=" or ".join(known) or "none", got=office)
    if actor.person is None:
        raise NotAReviewer("a person approves, not a machine", expected="a token that names the person")
    reviewer = persons.introduce(db, actor, now)
    if known[office] and reviewer not in known[office]:
        raise NotAReviewer("this person does not speak for the office", expected=office)
    return reviewer
