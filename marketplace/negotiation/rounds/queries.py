"""Reading rounds, rules and reviews."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import bindparam, func
from sqlmodel import Session, col, select

from marketplace.kernel.errors import NotFound
from marketplace.negotiation.models import AccessRequest
from marketplace.negotiation.rounds.models import AcceptanceRule, AnswerRule, Proposal, ProposalReview
from marketplace.negotiation.rules import State
from marketplace.plumbing.questions import Objects, Question, alone

_LATEST = Objects(
    Proposal,
    select(Proposal)
    .where(col(Proposal.request_id) == bindparam("request"))
    .order_by(col(Proposal.round).desc())
    .limit(1),
)
_TRIED = Question(
    select(func.count())
    .select_from(Proposal)
    .join(AccessRequest, col(AccessRequest.id) == Proposal.request_id)
    .where(
        col(AccessRequest.listing_id) == bindparam("listing"),
        col(AccessRequest.buyer_id) == bindparam("buyer"),
        col(AccessRequest.id) != bindparam("but"),
        col(AccessRequest.state) != str(State.FINALIZED),
        col(Proposal.by) == bindparam("by"),
        col(Proposal.made_at) >= bindparam("since"),
    ),
    alone,
)


class NoAnswerRule(NotFound):
    """No rule for answers was set for this listing."""


class NoAcceptanceRule(NotFound):
    """No rule for offers under this listing was signed."""


def proposals(db: Session, request_id: str) -> Sequence[Proposal]:
    """The rounds of a negotiation, the first one first."""
    rows = select(Proposal).where(Proposal.request_id == request_id)
    return db.exec(rows.order_by(col(Proposal.round))).all()


def latest(db: Session, request_id: str) -> Proposal | None:
    """What lies on the table, None for a request from before there were rounds."""
    return _LATEST.first(db, request=request_id)


def numbers(db: Session, request_ids: Collection[str]) -> dict[str, int]:
    """Request -> which round lies on its table; without those from before there were rounds."""
    rows = select(Proposal.request_id, func.max(Proposal.round)).where(col(Proposal.request_id).in_(request_ids))
    return dict(db.exec(rows.group_by(col(Proposal.request_id))).all())


def rule(db: Session, listing_id: str) -> AnswerRule | None:
    """The rule for answers under a listing, if its provider set one."""
    return db.get(AnswerRule, listing_id)


def rule_of(db: Session, listing_id: str) -> AnswerRule:
    """The rule for answers under a listing.  Raises NoAnswerRule."""
    found = rule(db, listing_id)
    if found is None:
        raise NoAnswerRule("people answer every request under this listing", got=listing_id)
    return found


def acceptance_rule(db: Session, buyer_id: str, listing_id: str) -> AcceptanceRule | None:
    """A buyer's rule for offers under a listing, if it signed one."""
    return db.get(AcceptanceRule, (buyer_id, listing_id))


def acceptance_rule_of(db: Session, buyer_id: str, listing_id: str) -> AcceptanceRule:
    """A buyer's rule for offers under a listing.  Raises NoAcceptanceRule."""
    found = acceptance_rule(db, buyer_id, listing_id)
    if found is None:
        raise NoAcceptanceRule("your people answer every offer under this listing", got=listing_id)
    return found


def latest_by(db: Session, request_id: str, by: str) -> Proposal | None:
    """What one side proposed last, if it did."""
    rows = select(Proposal).where(Proposal.request_id == request_id, Proposal.by == by)
    return db.exec(rows.order_by(col(Proposal.round).desc())).first()


def tried(db: Session, request: AccessRequest, by: str, since: datetime) -> int:
    """How many rounds one side put on the table in the two parties' other negotiations under the same listing.

    since: when the rule that is asked was set; what led to an agreement does not count.  So nobody finds the bounds of
    a rule by beginning anew.
    """
    named = {"listing": request.listing_id, "buyer": request.buyer_id, "but": request.id, "by": by, "since": since}
    return int(_TRIED.rows(db, **named)[0])


def reviews(db: Session, request_id: str, terms: str) -> Sequence[ProposalReview]:
    """Who approved these terms for which office, in order."""
    rows = select(ProposalReview).where(ProposalReview.request_id == request_id, ProposalReview.terms == terms)
    return db.exec(rows.order_by(col(ProposalReview.approved_at), col(ProposalReview.reviewer))).all()
