"""Approvals of a successor: what the provider's rule for the listing demands is given to the very document it signs."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag
from marketplace.audit.words import keep_why
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Invalid
from marketplace.kernel.transitions import NotYourStep
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.rounds import queries as rounds
from marketplace.negotiation.rounds.reviewing import ReviewsMissing, speaker, still_missing
from marketplace.negotiation.rules import Side
from marketplace.negotiation.schemas import WhyIn
from marketplace.negotiation.signing import NotTheAgreement
from marketplace.negotiation.steps import record_agreement
from marketplace.negotiation.succession import queries
from marketplace.negotiation.succession.models import AgreementSuccessor, SuccessorReview
from marketplace.negotiation.succession.notices import ask_for_deadline, tell
from marketplace.negotiation.succession.rules import SUCCESSOR, SuccessorState, answer_until
from marketplace.negotiation.succession.schemas import SuccessorReviewIn
from marketplace.negotiation.succession.standing import require_signable


class NotASuccessor(Invalid):
    """The agreement follows no other: its terms are reviewed and returned in its negotiation."""


def review(db: Session, actor: Actor, agreement: Agreement, asked: SuccessorReviewIn, now: datetime) -> SuccessorReview:
    """A person of the provider approves a proposed successor for an office; the same again changes nothing.

    Raises NotASuccessor, NotYourStep, NotTheAgreement, NoSuchOffice, NotAReviewer, and what signing it would raise.
    Records: negotiation:successor_reviewed.
    """
    if actor.participant != agreement.provider_id:
        raise NotYourStep("the provider's offices approve", expected=Side.PROVIDER, got=actor.participant)
    follows = _held(db, agreement)
    predecessor = negotiation.agreement(db, follows.predecessor_id)
    db.refresh(predecessor)
    rule = rounds.rule(db, agreement.listing_id)

    if asked.document != agreement.document:
        raise NotTheAgreement("approve this successor's own document", expected=agreement.document, got=asked.document)
    require_signable(db, agreement, follows, predecessor, now)
    reviewer = speaker(db, actor, rule.reviews if rule else [], asked.office, now)
    key = {"document": agreement.document, "office": asked.office, "reviewer": reviewer}
    known = db.get(SuccessorReview, tuple(key.values()))
    if known is not None:
        return known

    made = SuccessorReview(**key, agreement_id=agreement.id, approved_at=now)
    db.add(made)
    db.flush()

    facts: Json = {"document": agreement.document, "predecessor": predecessor.id, "office": asked.office}
    record_agreement(db, actor, Tag.SUCCESSOR_REVIEWED, agreement, facts, now)
    return made


def missing(db: Session, agreement: Agreement) -> dict[str, int]:
    """Office -> approvals that are still needed for a successor by the rule as it stands; empty without any."""
    rule = rounds.rule(db, agreement.listing_id)
    given = [(one.office, one.reviewer) for one in queries.reviews(db, agreement.document)]
    return still_missing(rule.reviews if rule else [], given)


def require_approved(db: Session, agreement: Agreement, actor: Actor, signed: Collection[str]) -> None:
    """Raises ReviewsMissing where the provider would be bound by a signature without its offices' approval.

    That is its own signature, and the buyer's after it: a rule may have come between the two.
    signed: who signed already.
    """
    provider = agreement.provider_id
    if provider not in {actor.participant, *signed}:
        return
    lacking = missing(db, agreement)
    if lacking:
        own = actor.participant == provider
        # Which offices a provider has is its own affair.
        wanted = ", ".join(f"{number} more of {office}" for office, number in lacking.items()) if own else "all of them"
        raise ReviewsMissing(
            "the provider's offices have not approved this successor yet",
            expected=wanted,
            got=agreement.document,
            action="POST /v1/agreements/{agreement_id}/reviews as each of these persons, then sign"
            if own
            else "wait for the provider's approvals, or ask it for them",
        )


def give_back(db: Session, actor: Actor, agreement: Agreement, why: WhyIn, now: datetime) -> AgreementSuccessor:
    """Return a proposed successor to the side that proposed it, which corrects it by a new proposal before a new
    deadline.  Nobody signs it meanwhile; returning it twice changes nothing.

    By the other side, or by the provider for its offices.  Raises NotASuccessor, NotYourStep, WrongState.
    Records: negotiation:successor_returned.
    """
    follows = _held(db, agreement)
    predecessor = negotiation.agreement(db, follows.predecessor_id)
    side = negotiation.side_of(agreement, actor)

    if side is None or (side == Side.BUYER and actor.participant == follows.proposed_by):
        raise NotYourStep("what you proposed yourself you withdraw", got=actor.participant, action="terminate it")
    if follows.state == SuccessorState.RETURNED:
        return follows
    step = SUCCESSOR.step(SuccessorState(follows.state), SuccessorState.RETURNED, [side])

    follows.state, follows.reason = step.target, why.reason
    follows.expires_at = answer_until(follows.kind, predecessor.ends_at, now)
    db.add(follows)
    db.flush()
    ask_for_deadline(db, follows, now)

    said = keep_why(db, why.reason, why.note, now, (agreement.provider_id, agreement.buyer_id))
    facts: Json = {**said, "document": agreement.document, "predecessor": predecessor.id, "by": str(side)}
    entry = record_agreement(db, actor, Tag(step.tag), agreement, facts, now)
    tell(
        db,
        predecessor,
        "successor_returned",
        party=actor.participant,
        about=agreement.document,
        entry=entry,
        now=now,
    )
    return follows


def _held(db: Session, agreement: Agreement) -> AgreementSuccessor:
    negotiation.lock_agreement(db, agreement)
    follows = queries.succession(db, agreement.id)
    if follows is None:
        raise NotASuccessor(
            "this agreement follows no other",
            expected="a proposed amendment or renewal",
            got=agreement.id,
            action="POST /v1/requests/{request_id}/reviews or …/return in its negotiation",
        )
    return follows
