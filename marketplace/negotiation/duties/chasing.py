"""What the clock does with a duty: a reminder, a demand at the due date, and after 14 more days its consequence."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation import stopping
from marketplace.negotiation.duties import queries, rules
from marketplace.negotiation.duties.models import Duty
from marketplace.negotiation.duties.opening import ask_for_chase
from marketplace.negotiation.duties.rules import GRACE, MACHINES, DutyState, Kind
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.rules import Side
from marketplace.negotiation.steps import record_agreement
from marketplace.plumbing import outbox
from marketplace.plumbing.epochs import Stop

NOTIFY_TASK = "transfer.notify_duty"


def chase(db: Session, agreement_id: str, kind: Kind, now: datetime) -> Duty | None:
    """Do what it is time for with a duty, and have both parties told; returns it, None where nothing is owed.

    A report that is missing 14 days after its demand suspends the agreement; every step once, however often it is
    asked for.  Records: negotiation:duty_reminded, _demanded or _overdue, negotiation:agreement_suspended.
    """
    agreement = negotiation.agreement(db, agreement_id)
    negotiation.lock_agreement(db, agreement)
    duty = queries.duty(db, agreement_id, kind)

    if duty is None or (target := _target(duty, now)) == duty.state:
        return duty
    step = MACHINES[kind].step(DutyState(duty.state), target, [Side.SERVICE])

    duty.state = target
    setattr(duty, f"{target}_at", now)
    db.add(duty)
    if target == DutyState.DEMANDED:
        ask_for_chase(db, duty, now, now + GRACE)

    entry = _record(db, agreement, duty, Tag(step.tag), now)
    outbox.enqueue(db, NOTIFY_TASK, _told(duty, entry, now), key=entry, now=now)
    if target == DutyState.OVERDUE and kind == Kind.REPORT_USE:
        stopping.hold_for(db, agreement, Stop.USE_REPORT_MISSING, now)
    return duty


def _target(duty: Duty, now: datetime) -> DutyState:
    return rules.follows(DutyState(duty.state), duty.due_at, duty.days, duty.demanded_at, now)


def _record(db: Session, agreement: Agreement, duty: Duty, tag: Tag, now: datetime) -> str:
    facts: Json = {
        "duty": duty.kind,
        "document": agreement.document,
        "since": timestamp(duty.since),
        "due_at": timestamp(duty.due_at),
    }
    return record_agreement(db, SERVICE_ACTOR, tag, agreement, facts, now)


def _told(duty: Duty, entry: str, now: datetime) -> Json:
    """What the notice says, as values: the row may have moved on when it is written."""
    demanded = duty.demanded_at
    return {
        "agreement": duty.agreement_id,
        "duty": duty.kind,
        "step": duty.state,
        "since": timestamp(duty.since),
        "due_at": timestamp(duty.due_at),
        "consequence_at": timestamp((demanded or duty.due_at) + GRACE),
        "entry": entry,
        "said_at": timestamp(now),
    }
