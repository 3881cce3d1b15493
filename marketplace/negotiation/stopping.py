"""The verbs that stop an agreement in force: suspend and resume, terminate, expire.  Uses stop in the transaction."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag
from marketplace.audit.words import keep_why
from marketplace.kernel.actor import SERVICE_ACTOR, Actor
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Forbidden
from marketplace.kernel.transitions import Step
from marketplace.negotiation import queries
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.rules import AGREEMENT, AgreementState, Side
from marketplace.negotiation.schemas import WhyIn
from marketplace.negotiation.service import end_negotiation
from marketplace.negotiation.steps import PREPARE_TASK, record_agreement
from marketplace.plumbing import epochs, outbox
from marketplace.plumbing.epochs import Stop

_S = AgreementState


class NotYourSuspension(Forbidden):
    """The other side suspended the agreement."""


def suspend(db: Session, actor: Actor, agreement: Agreement, why: WhyIn, now: datetime) -> Agreement:
    """Stop every use for a time, by either side; the same side a second time changes nothing.

    Raises WrongState, NotYourStep.  Records: negotiation:agreement_suspended.
    """
    queries.lock_agreement(db, agreement)

    if agreement.state == _S.SUSPENDED and agreement.suspended_by == actor.participant:
        return agreement
    step = _step(actor, agreement, _S.SUSPENDED)

    agreement.state, agreement.reason, agreement.suspended_by = _S.SUSPENDED, why.reason, actor.participant
    db.add(agreement)

    entry = _record(db, actor, agreement, step, why, now)
    epochs.stop(db, (agreement.id,), Stop.AGREEMENT_SUSPENDED, actor, entry, now)
    return agreement


def hold(db: Session, agreement: Agreement, reason: str, now: datetime) -> None:
    """Stop every use until the provider resumes, by the service itself: a restored copy may have lost revocations.

    reason: a code.  Nothing changes unless the agreement is in force.  Records: negotiation:agreement_suspended.
    """
    queries.lock_agreement(db, agreement)

    if agreement.state != _S.FINALIZED:
        return
    step = AGREEMENT.step(_S.FINALIZED, _S.SUSPENDED, [Side.SERVICE])

    agreement.state, agreement.reason, agreement.suspended_by = _S.SUSPENDED, reason, agreement.provider_id
    db.add(agreement)

    entry = _record(db, SERVICE_ACTOR, agreement, step, WhyIn(reason=reason), now)
    epochs.stop(db, (agreement.id,), Stop.AGREEMENT_SUSPENDED, SERVICE_ACTOR, entry, now)


def resume(db: Session, actor: Actor, agreement: Agreement, why: WhyIn, now: datetime) -> Agreement:
    """Let uses begin again, by the side that suspended; a running one does not come back, its key goes on with it.

    Raises WrongState, NotYourStep, NotYourSuspension.  Records: negotiation:agreement_resumed.
    """
    queries.lock_agreement(db, agreement)

    step = _step(actor, agreement, _S.FINALIZED)
    if agreement.suspended_by != actor.participant:
        raise NotYourSuspension(
            "only the side that suspended an agreement resumes it",
            expected=agreement.suspended_by,
            got=actor.participant,
            action="ask the other side, or terminate",
        )

    agreement.state, agreement.reason, agreement.suspended_by = _S.FINALIZED, "", ""
    db.add(agreement)

    entry = _record(db, actor, agreement, step, why, now)
    # Preparation that fell into the suspension did nothing.
    outbox.enqueue(db, PREPARE_TASK, {"agreement": agreement.id}, key=f"{agreement.id}:{entry}", now=now)
    return agreement


def terminate(db: Session, actor: Actor, agreement: Agreement, why: WhyIn, now: datetime) -> Agreement:
    """End an agreement for good, by either side; running uses stop at once.  A second time changes nothing.

    A draft that is not in force ends with its negotiation.  Records: negotiation:agreement_terminated, or for a
    draft negotiation:request_declined or negotiation:request_withdrawn.
    """
    request = queries.lock_agreement(db, agreement)

    if agreement.state == _S.TERMINATED:
        return agreement
    if agreement.state == _S.DRAFTED:
        end_negotiation(db, actor, request, why, now)
        return agreement
    step = _step(actor, agreement, _S.TERMINATED)

    agreement.state, agreement.reason, agreement.terminated_at = _S.TERMINATED, why.reason, now
    db.add(agreement)

    entry = _record(db, actor, agreement, step, why, now)
    epochs.stop(db, (agreement.id,), Stop.AGREEMENT_TERMINATED, actor, entry, now)
    return agreement


def expire(db: Session, agreement_id: str, now: datetime) -> None:
    """Close an agreement whose term is over: its uses ended at that second, now both sides are told.

    Before the end, or when it was ended otherwise, nothing changes.  Records: negotiation:agreement_expired.
    """
    agreement = queries.agreement(db, agreement_id)
    queries.lock_agreement(db, agreement)

    if agreement.state not in {_S.FINALIZED, _S.SUSPENDED} or agreement.ends_at > now:
        return
    step = AGREEMENT.step(_S(agreement.state), _S.EXPIRED, [Side.SERVICE])

    agreement.state, agreement.reason = _S.EXPIRED, str(Stop.EXPIRED)
    db.add(agreement)

    entry = _record(db, SERVICE_ACTOR, agreement, step, WhyIn(reason=agreement.reason), now)
    epochs.stop(db, (agreement.id,), Stop.EXPIRED, SERVICE_ACTOR, entry, epochs.second(agreement.ends_at))


def _step(actor: Actor, agreement: Agreement, target: AgreementState) -> Step:
    side = queries.side_of(agreement, actor)
    return AGREEMENT.step(_S(agreement.state), target, [side] if side else [])


def _record(db: Session, actor: Actor, agreement: Agreement, step: Step, why: WhyIn, now: datetime) -> str:
    side = queries.side_of(agreement, actor) or Side.SERVICE
    readers = (agreement.provider_id, agreement.buyer_id)
    said = keep_why(db, why.reason, why.note, now, readers)
    facts: Json = {**said, "by": str(side), "document": agreement.document}
    return record_agreement(db, actor, Tag(step.tag), agreement, facts, now)
