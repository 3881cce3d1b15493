"""Whether a proposed successor may still be signed: its own state, what it follows, and every fact that it rests on."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import Conflict
from marketplace.kernel.transitions import WrongState
from marketplace.negotiation import signing
from marketplace.negotiation.eligibility import require_eligible_for
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.rules import AgreementState
from marketplace.negotiation.succession import queries
from marketplace.negotiation.succession.models import AgreementSuccessor
from marketplace.negotiation.succession.rules import SUCCESSOR, SuccessorKind, SuccessorState


class SuccessorLapsed(Conflict):
    """The deadline of this successor has passed."""


class PredecessorMoved(Conflict):
    """Something has happened to the agreement since its amendment was proposed."""


def require_signable(
    db: Session, agreement: Agreement, follows: AgreementSuccessor, predecessor: Agreement, now: datetime
) -> None:
    """Judge anew what is judged when a successor is signed, or approved so that it can be.

    Raises WrongState, SuccessorLapsed, PredecessorMoved, RefusedOnReview, and what `signing.require_basis` raises.
    """
    if not SUCCESSOR.permits(SuccessorState(follows.state), "sign"):
        raise WrongState(
            "this successor is not open for signature",
            expected="proposed",
            got=follows.state,
            action="look at the agreement's succession; one that was returned is to be corrected first",
        )
    if follows.expires_at <= now:
        raise SuccessorLapsed(
            "nobody signed in time", expected=f"before {timestamp(follows.expires_at)}", action="propose it again"
        )
    _require_followed(db, follows, predecessor, now)
    signing.require_basis(db, agreement, now)
    require_eligible_for(db, agreement)


def _require_followed(db: Session, follows: AgreementSuccessor, predecessor: Agreement, now: datetime) -> None:
    """Whether the agreement is still one that this successor can follow; what was terminated is followed by nothing."""
    if follows.kind == SuccessorKind.RENEWAL:
        if predecessor.state not in {AgreementState.FINALIZED, AgreementState.EXPIRED}:
            raise WrongState(
                "only an agreement in force or at the end of its term is renewed",
                expected="finalized or expired",
                got=predecessor.state,
                action="resume it first if it is suspended, or ask for access anew",
            )
        return
    if predecessor.state != AgreementState.FINALIZED or predecessor.ends_at <= now:
        raise WrongState("only an agreement in force is amended", expected="finalized", got=predecessor.state)
    latest = queries.head(db, predecessor)[1]
    if follows.previous != latest:
        raise PredecessorMoved(
            "another act followed the agreement since",
            expected=f"a successor that follows {latest}",
            got=follows.previous,
            action="withdraw this amendment and propose it again",
        )
