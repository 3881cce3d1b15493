"""The verbs that stop an agreement in force: suspend and resume, terminate, expire.  Uses stop in the transaction.

What a side does is an act that it signs (`negotiation.succession`); a stop is in effect before that.
"""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag
from marketplace.audit.words import keep_why
from marketplace.exchange import exclusivity
from marketplace.kernel.actor import SERVICE, SERVICE_ACTOR, Actor
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Forbidden
from marketplace.kernel.transitions import Step, WrongState
from marketplace.negotiation import queries
from marketplace.negotiation.duties.opening import end_duties
from marketplace.negotiation.duties.queries import report_missing
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.rules import AGREEMENT, AgreementState, Side
from marketplace.negotiation.schemas import WhyIn
from marketplace.negotiation.service import end_negotiation
from marketplace.negotiation.steps import PREPARE_TASK, record_agreement
from marketplace.negotiation.succession import acts, answering
from marketplace.negotiation.succession import queries as succession
from marketplace.negotiation.succession.models import AgreementAct
from marketplace.negotiation.succession.rules import ActKind
from marketplace.plumbing import epochs, outbox
from marketplace.plumbing.epochs import Stop

_S = AgreementState


class NotYourSuspension(Forbidden):
    """Somebody else suspended the agreement."""


def suspend(db: Session, actor: Actor, agreement: Agreement, why: WhyIn, now: datetime) -> Agreement:
    """Stop every use for a time, by either side; the same side a second time changes nothing.

    In effect at once; the act that is made of it is still to be signed by that side.
    One that the service suspended is from now on suspended by that side.
    Raises WrongState, NotYourStep.  Records: negotiation:agreement_suspended.
    """
    queries.lock_agreement(db, agreement)

    if agreement.state == _S.SUSPENDED and agreement.suspended_by == actor.participant:
        return agreement
    if agreement.state == _S.SUSPENDED and agreement.suspended_by != SERVICE:
        raise WrongState("the other side suspended this agreement already", got=agreement.state)
    step = _step(actor, agreement, _S.SUSPENDED)

    agreement.state, agreement.reason, agreement.suspended_by = _S.SUSPENDED, why.reason, actor.participant
    db.add(agreement)
    act = acts.bind(db, actor, agreement, ActKind.SUSPENSION, why.reason, now)

    act.entry_id = entry = _record(db, actor, agreement, step, why, now, act)
    epochs.stop(db, (agreement.id,), Stop.AGREEMENT_SUSPENDED, actor, entry, now)
    return agreement


def hold(db: Session, agreement: Agreement, reason: str, now: datetime) -> None:
    """Stop every use until the provider resumes, by the service itself: a restored copy may have lost revocations.

    reason: a code.  Nothing changes unless the agreement is in force, or the service itself holds it suspended: then
    what would lift that is no longer enough.  Records: negotiation:agreement_suspended.
    """
    queries.lock_agreement(db, agreement)

    if agreement.state != _S.FINALIZED and (agreement.state, agreement.suspended_by) != (_S.SUSPENDED, SERVICE):
        return
    step = AGREEMENT.step(_S(agreement.state), _S.SUSPENDED, [Side.SERVICE])

    agreement.state, agreement.reason, agreement.suspended_by = _S.SUSPENDED, reason, agreement.provider_id
    db.add(agreement)

    entry = _record(db, SERVICE_ACTOR, agreement, step, WhyIn(reason=reason), now)
    epochs.stop(db, (agreement.id,), Stop.AGREEMENT_SUSPENDED, SERVICE_ACTOR, entry, now)


def hold_for(db: Session, agreement: Agreement, why: Stop, now: datetime) -> None:
    """Stop every use until `release` is called with the same reason, by the service itself.

    Of an agreement that was amended, what stands in its place is stopped.  Unless that is in force only an overdue
    invoice is noted, which then outlasts a suspension by anybody else.  The caller records the cause.
    Records: negotiation:agreement_suspended.
    """
    agreement = _standing(db, agreement)
    if why == Stop.INVOICE_OVERDUE:
        agreement.unpaid = True
        db.add(agreement)
    if agreement.state != _S.FINALIZED or agreement.ends_at <= now:
        return
    step = AGREEMENT.step(_S.FINALIZED, _S.SUSPENDED, [Side.SERVICE])

    agreement.state, agreement.reason, agreement.suspended_by = _S.SUSPENDED, str(why), SERVICE
    db.add(agreement)

    entry = _record(db, SERVICE_ACTOR, agreement, step, WhyIn(reason=str(why)), now)
    epochs.stop(db, (agreement.id,), why, SERVICE_ACTOR, entry, now)


def release(db: Session, agreement: Agreement, why: Stop, now: datetime) -> None:
    """Let uses begin again that the service itself stopped, once this reason is met; what another holds stays stopped.

    Of an agreement that was amended, what stands in its place, once nothing of the line is missing.  While the other
    reason stands it stays suspended for that one.
    Records: negotiation:agreement_resumed, or negotiation:agreement_suspended with the other reason.
    """
    agreement = _standing(db, agreement)
    met = {Stop.USE_REPORT_MISSING: "use_reported", Stop.INVOICE_OVERDUE: "invoice_paid"}[why]
    if why == Stop.INVOICE_OVERDUE:
        agreement.unpaid = False
        db.add(agreement)
    db.flush()
    if (agreement.state, agreement.suspended_by) != (_S.SUSPENDED, SERVICE):
        return
    if left := _missing(db, agreement):
        _hand_to_service(db, agreement, left, now)
        return
    step = AGREEMENT.step(_S.SUSPENDED, _S.FINALIZED, [Side.SERVICE])

    agreement.state, agreement.reason, agreement.suspended_by = _S.FINALIZED, "", ""
    db.add(agreement)

    _resumed(db, agreement, _record(db, SERVICE_ACTOR, agreement, step, WhyIn(reason=met), now), now)


def resume(db: Session, actor: Actor, agreement: Agreement, why: WhyIn, now: datetime) -> AgreementAct:
    """Prepare the act by which the side that suspended lets uses begin again; nothing resumes before it is signed.

    Asking again gives the same act.  Raises WrongState, NotYourStep, NotYourSuspension.
    Records: negotiation:act_prepared.
    """
    queries.lock_agreement(db, agreement)
    _resumption(actor, agreement)
    return acts.prepare(db, actor, agreement, ActKind.RESUMPTION, why.reason, now)


def resume_by(db: Session, actor: Actor, agreement: Agreement, act: AgreementAct, now: datetime) -> None:
    """Let uses begin again by a signed act; a running one does not come back, its key goes on with it.

    While a report of use or an invoice is overdue the agreement stays suspended, from now on by the service.
    The caller holds it.  Raises WrongState, NotYourStep, NotYourSuspension.  Records: negotiation:agreement_resumed.
    """
    step = _resumption(actor, agreement)
    if left := _missing(db, agreement):
        _hand_to_service(db, agreement, left, now)
        return

    agreement.state, agreement.reason, agreement.suspended_by = _S.FINALIZED, "", ""
    db.add(agreement)

    _resumed(db, agreement, _record(db, actor, agreement, step, WhyIn(reason=act.reason), now, act), now)


def _standing(db: Session, agreement: Agreement) -> Agreement:
    """What stands in an agreement's place, held; the caller holds the agreement itself."""
    name = succession.in_place_of(db, agreement.id)
    if name == agreement.id:
        return agreement
    found = queries.agreement(db, name)
    queries.lock_agreement(db, found)
    return found


def _missing(db: Session, agreement: Agreement) -> Stop | None:
    """What the service itself stops an agreement for: a report overdue under it or one that it amended, an invoice."""
    if any(report_missing(db, name) for name in (agreement.id, *succession.amended(db, agreement.id))):
        return Stop.USE_REPORT_MISSING
    return Stop.INVOICE_OVERDUE if agreement.unpaid else None


def _resumption(actor: Actor, agreement: Agreement) -> Step:
    step = _step(actor, agreement, _S.FINALIZED)
    if agreement.suspended_by != actor.participant:
        raise NotYourSuspension(
            "only the side that suspended an agreement resumes it",
            expected=agreement.suspended_by,
            got=actor.participant,
            action="ask the other side or hand in what is missing, or terminate",
        )
    return step


def _hand_to_service(db: Session, agreement: Agreement, why: Stop, now: datetime) -> None:
    """Keep an agreement suspended, by the service for this reason; nothing changes where it is so already."""
    if (agreement.suspended_by, agreement.reason) == (SERVICE, str(why)):
        return
    step = AGREEMENT.step(_S.SUSPENDED, _S.SUSPENDED, [Side.SERVICE])
    agreement.reason, agreement.suspended_by = str(why), SERVICE
    db.add(agreement)
    _record(db, SERVICE_ACTOR, agreement, step, WhyIn(reason=agreement.reason), now)


def _resumed(db: Session, agreement: Agreement, entry: str, now: datetime) -> None:
    # Preparation that fell into the suspension did nothing.
    outbox.enqueue(db, PREPARE_TASK, {"agreement": agreement.id}, key=f"{agreement.id}:{entry}", now=now)


def terminate(db: Session, actor: Actor, agreement: Agreement, why: WhyIn, now: datetime) -> Agreement:
    """End an agreement for good, by either side; running uses stop at once.  A second time changes nothing.

    In effect at once; the act that is made of it is still to be signed by that side.
    A draft that is not in force ends with its negotiation, a proposed successor is refused or withdrawn.
    What was proposed to follow it and is not in force is withdrawn with it.
    Records: negotiation:agreement_terminated and negotiation:successor_withdrawn, or for a draft
    negotiation:request_declined or _withdrawn, for a successor negotiation:successor_refused or _withdrawn.
    """
    request = queries.lock_agreement(db, agreement)

    if agreement.state == _S.TERMINATED:
        return agreement
    follows = succession.succession(db, agreement.id)
    if agreement.state == _S.DRAFTED and follows is not None:
        answering.close(db, actor, agreement, follows, why, now)
        return agreement
    if agreement.state == _S.DRAFTED:
        end_negotiation(db, actor, request, why, now)
        return agreement
    step = _step(actor, agreement, _S.TERMINATED)

    agreement.state, agreement.reason, agreement.terminated_at = _S.TERMINATED, why.reason, now
    db.add(agreement)
    act = acts.bind(db, actor, agreement, ActKind.TERMINATION, why.reason, now)

    act.entry_id = entry = _record(db, actor, agreement, step, why, now, act)
    epochs.stop(db, (agreement.id,), Stop.AGREEMENT_TERMINATED, actor, entry, now)
    answering.withdraw_all(db, agreement, now)
    exclusivity.end(db, agreement.id, now)
    end_duties(db, agreement, now)
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
    end_duties(db, agreement, now)


def _step(actor: Actor, agreement: Agreement, target: AgreementState) -> Step:
    side = queries.side_of(agreement, actor)
    return AGREEMENT.step(_S(agreement.state), target, [side] if side else [])


def _record(
    db: Session,
    actor: Actor,
    agreement: Agreement,
    step: Step,
    why: WhyIn,
    now: datetime,
    act: AgreementAct | None = None,
) -> str:
    side = queries.side_of(agreement, actor) or Side.SERVICE
    readers = (agreement.provider_id, agreement.buyer_id)
    said = keep_why(db, why.reason, why.note, now, readers)
    facts: Json = {**said, "by": str(side), "document": agreement.document}
    facts |= {"act": act.document} if act is not None else {}
    return record_agreement(db, actor, Tag(step.tag), agreement, facts, now)
