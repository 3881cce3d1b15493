"""What is shown of a buyer's duties: with due dates, also of those that begin only at the end."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.negotiation.duties import queries, rules
from marketplace.negotiation.duties.models import Duty
from marketplace.negotiation.duties.rules import GRACE, DutyState, Kind
from marketplace.negotiation.duties.schemas import DueOut, DutiesOut, DutyOut
from marketplace.negotiation.models import Agreement


def duties(db: Session, agreement: Agreement, now: datetime) -> DutiesOut:
    """What the buyer owes under an agreement, and what a proof has to name."""
    begins = _report_from(db, agreement)
    found = [duty for kind in Kind if (duty := _duty(db, agreement, kind)) is not None]
    return DutiesOut(
        agreement_id=agreement.id,
        agreement_document=agreement.document,
        as_of=now,
        report_from=begins,
        report_until=max(begins, min(now, queries.term(agreement)[1])) if begins else None,
        delivered=sorted({use.manifest for use in queries.uses(db, agreement.id)}),
        duties=found,
    )


def _report_from(db: Session, agreement: Agreement) -> datetime | None:
    begins = queries.reported_to(db, agreement)
    left = agreement.finalized_at is not None and begins < queries.term(agreement)[1]
    return begins if left else None


def _duty(db: Session, agreement: Agreement, kind: Kind) -> DutyOut | None:
    found = queries.duty(db, agreement.id, kind)
    if found is not None:
        return _begun(agreement, found)
    days = rules.days_of(agreement.uses, kind)
    if days is None or agreement.finalized_at is None or agreement.state in {"terminated", "expired", "superseded"}:
        return None
    return DutyOut(
        kind=kind,
        days=days,
        state=DutyState.PENDING,
        since=None,
        due_at=rules.due_after(agreement.ends_at, days),
        reminded_at=None,
        demanded_at=None,
        consequence_at=None,
        overdue_at=None,
        calendar=[],
    )


def _begun(agreement: Agreement, duty: Duty) -> DutyOut:
    open_still = duty.state != DutyState.MET
    ends = queries.term(agreement)[1]
    reports = open_still and duty.kind == Kind.REPORT_USE
    periods = rules.calendar(duty.since, ends, duty.days) if reports else []
    return DutyOut(
        kind=duty.kind,
        days=duty.days,
        state=duty.state,
        since=duty.since,
        due_at=duty.due_at if open_still else None,
        reminded_at=duty.reminded_at,
        demanded_at=duty.demanded_at,
        consequence_at=(duty.demanded_at or duty.due_at) + GRACE if open_still else None,
        overdue_at=duty.overdue_at,
        calendar=[DueOut.model_validate(one) for one in periods],
    )
