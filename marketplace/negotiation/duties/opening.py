"""Where a duty begins: reports with the agreement, deletion with its end; each asks for its reminder and demand."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.kernel.clock import timestamp
from marketplace.negotiation.duties import queries, rules
from marketplace.negotiation.duties.models import Duty
from marketplace.negotiation.duties.rules import REPORT_DUTY, DutyState, Kind
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.rules import Side
from marketplace.negotiation.steps import record_agreement
from marketplace.negotiation.succession.queries import amended
from marketplace.plumbing import outbox

CHASE_TASK = "negotiation.chase_duty"


def open_reports(db: Session, agreement: Agreement, now: datetime) -> None:
    """From now on the buyer owes reports of use, where the signed uses ask for them."""
    days = rules.days_of(agreement.uses, Kind.REPORT_USE)
    if days is not None:
        _open(db, agreement, Kind.REPORT_USE, days, queries.term(agreement)[0], now)


def end_duties(db: Session, agreement: Agreement, now: datetime) -> None:
    """At the end of an agreement: what was delivered is to be deleted; reports end where use ended.

    The right to use went on from what it amended, so what was delivered under that is to be deleted from now on too.
    Where nothing was delivered nothing is to be deleted.  Records: negotiation:duty_ended, when all is reported.
    """
    ended_at = queries.term(agreement)[1]
    end_reports(db, agreement, now)
    for one in (agreement, *(db.get_one(Agreement, name) for name in amended(db, agreement.id))):
        days = rules.days_of(one.uses, Kind.DELETE)
        if days is not None and queries.uses(db, one.id):
            _open(db, one, Kind.DELETE, days, ended_at, now)


def end_reports(db: Session, agreement: Agreement, now: datetime) -> None:
    """Reports end where use ended; what is not reported by then stays due.

    Records: negotiation:duty_ended, when all is reported.
    """
    ended_at = queries.term(agreement)[1]
    reports = queries.duty(db, agreement.id, Kind.REPORT_USE)
    if reports is not None and reports.since >= ended_at and reports.state == DutyState.PENDING:
        step = REPORT_DUTY.step(DutyState.PENDING, DutyState.MET, [Side.SERVICE])
        reports.state = step.target
        db.add(reports)
        record_agreement(db, SERVICE_ACTOR, Tag(step.tag), agreement, {"duty": reports.kind}, now)


def ask_for_chase(db: Session, duty: Duty, now: datetime, *moments: datetime) -> None:
    """Have a duty looked at when it is time: at its reminder and due date, or at the given moments."""
    for moment in moments or (rules.remind_at(duty.due_at, duty.days), duty.due_at):
        args = {"agreement": duty.agreement_id, "duty": duty.kind}
        key = f"{duty.agreement_id}:{duty.kind}:{timestamp(duty.since)}:{timestamp(moment)}"
        outbox.enqueue(db, CHASE_TASK, args, key=key, now=now, due=moment)


def _open(db: Session, agreement: Agreement, kind: Kind, days: int, since: datetime, now: datetime) -> None:
    if queries.duty(db, agreement.id, kind) is not None:
        return
    due_at = rules.due_after(since, days)
    duty = Duty(agreement_id=agreement.id, kind=kind, days=days, since=since, due_at=due_at)
    db.add(duty)
    db.flush()
    ask_for_chase(db, duty, now)
