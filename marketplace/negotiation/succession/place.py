"""Whether there is a place for a successor: what is in force, what waits already, and what is signed for later."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.exchange.pricing import PlanDoesNotFit, Rate, rate_of, read_plan
from marketplace.kernel.actor import Actor
from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import Conflict
from marketplace.kernel.transitions import WrongState
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.rules import AgreementState
from marketplace.negotiation.succession import queries
from marketplace.negotiation.succession.models import AgreementSuccessor
from marketplace.negotiation.succession.rules import WAITING, SuccessorKind, SuccessorState


class AlreadySucceeded(Conflict):
    """The agreement has a successor already."""


class RenewalBegins(Conflict):
    """A signed renewal begins where the term of this agreement ends."""


def require_place(
    db: Session, actor: Actor, agreement: Agreement, kind: SuccessorKind, now: datetime
) -> AgreementSuccessor | None:
    """The successor of the same kind that this side has to correct, if any.  Raises WrongState, AlreadySucceeded."""
    _require_state(agreement, kind, now)
    waiting = next((one for one in queries.successors(db, agreement.id) if one.state in WAITING), None)
    if waiting is not None and (waiting.state, waiting.kind, waiting.proposed_by) == (
        SuccessorState.RETURNED,
        kind,
        actor.participant,
    ):
        return waiting
    if waiting is not None:
        # The other would follow an agreement that is not there any more, or with another end.
        raise AlreadySucceeded(
            "one successor is proposed at a time",
            expected="no successor that is proposed or returned",
            got=f"{waiting.kind} {waiting.agreement_id}, {waiting.state}",
            action=f"sign, refuse or withdraw that {waiting.kind} first",
        )
    renewal = signed_renewal(db, agreement)
    if renewal is not None and kind == SuccessorKind.RENEWAL:
        raise AlreadySucceeded(
            "the term that follows is signed already",
            expected="no renewal in force",
            got=renewal.id,
            action=f"amend {renewal.id}, propose a renewal of it, or terminate it first",
        )
    return None


def require_end(db: Session, agreement: Agreement, kind: SuccessorKind, ends_at: datetime) -> None:
    """An amendment neither overlaps a signed renewal nor leaves a gap before it.  Raises RenewalBegins."""
    if kind != SuccessorKind.AMENDMENT or ends_at == agreement.ends_at:
        return
    renewal = signed_renewal(db, agreement)
    if renewal is not None:
        raise RenewalBegins(
            "both sides signed a renewal that begins where this term ends",
            expected=f"the end as it is, {timestamp(agreement.ends_at)}",
            got=timestamp(ends_at),
            action=f"leave the end out; amend {renewal.id} for the time after it, or terminate that one first",
        )


def signed_renewal(db: Session, agreement: Agreement) -> Agreement | None:
    """What stands for the term that follows an agreement: its renewal, or that of one that it amended.

    None where nothing was signed, or what was signed is terminated.
    """
    for name in (agreement.id, *queries.amended(db, agreement.id)):
        for one in queries.successors(db, name):
            if (one.kind, one.state) == (SuccessorKind.RENEWAL, SuccessorState.IN_FORCE):
                found = negotiation.agreement(db, queries.in_place_of(db, one.agreement_id))
                if found.state != AgreementState.TERMINATED:
                    return found
    return None


def require_countable(db: Session, agreement: Agreement, new: Rate | None) -> None:
    """What was charged goes on being counted under an amendment, so it counts the same.  Raises PlanDoesNotFit."""
    if agreement.price_plan["kind"] == "results":
        raise PlanDoesNotFit(
            "an agreement that is paid for its result is not amended: its deposit and its window have begun",
            expected="an agreement with another price plan",
            got="results",
            action="terminate it and ask for access anew, or propose a renewal",
        )
    line = [agreement, *(negotiation.agreement(db, name) for name in queries.amended(db, agreement.id))]
    measures = {rate.measure for one in line if (rate := rate_of(read_plan(one.price_plan)))}
    if new is not None and measures and new.measure not in measures:
        raise PlanDoesNotFit(
            "an amendment counts what the agreement counted, else a month cannot be charged",
            expected=", ".join(sorted(measures)),
            got=new.measure,
            action="propose a renewal with the other plan",
        )


def _require_state(agreement: Agreement, kind: SuccessorKind, now: datetime) -> None:
    running = agreement.state == AgreementState.FINALIZED and agreement.ends_at > now
    over = agreement.state in {AgreementState.FINALIZED, AgreementState.EXPIRED}
    if not (running if kind == SuccessorKind.AMENDMENT else over):
        raise WrongState(
            "an amendment follows an agreement in force, a renewal one that is in force or whose term is over",
            expected="finalized" if kind == SuccessorKind.AMENDMENT else "finalized or expired",
            got=agreement.state if not over else "expired",
            action="resume it first if it is suspended, or ask for access anew",
        )
