"""Reading duties, accepted proofs, and what the log says was used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, or_
from sqlmodel import Session, col, select

from marketplace.audit.entry import Tag
from marketplace.audit.models import Entry
from marketplace.kernel.canonical import read_strictly
from marketplace.negotiation.duties.models import DeletionCertificate, Duty, UseReport
from marketplace.negotiation.duties.rules import MISSING, DutyState, Kind
from marketplace.negotiation.models import Agreement
from marketplace.plumbing.questions import Question, alone

_OWED = Question(
    select(Duty.kind)
    .join(Agreement, col(Agreement.id) == Duty.agreement_id)
    .where(
        col(Agreement.buyer_id) == bindparam("buyer"),
        col(Agreement.provider_id) == bindparam("provider"),
        col(Duty.state) == DutyState.OVERDUE,
        # A missing report of an agreement that runs suspends that agreement alone.
        or_(col(Duty.kind) == Kind.DELETE, col(Agreement.state).in_(("terminated", "expired", "superseded"))),
    ),
    alone,
)


@dataclass(frozen=True)
class LoggedUse:
    """A use that the log tells: when it was allowed, for which purpose, of which delivery."""

    at: datetime
    purpose: str
    manifest: str


def duty(db: Session, agreement_id: str, kind: Kind) -> Duty | None:
    """What is owed of a kind under an agreement, read anew; None when nothing is."""
    return db.get(Duty, (agreement_id, str(kind)), populate_existing=True)


def reports(db: Session, agreement_id: str) -> Sequence[UseReport]:
    """The accepted reports of an agreement in order of their periods."""
    rows = select(UseReport).where(UseReport.agreement_id == agreement_id)
    return db.exec(rows.order_by(col(UseReport.period_from))).all()


def report(db: Session, document: str) -> UseReport | None:
    """The accepted report with this document, if there is one."""
    return db.get(UseReport, document)


def certificate(db: Session, agreement_id: str) -> DeletionCertificate | None:
    """The accepted certificate of deletion of an agreement, if there is one."""
    return db.get(DeletionCertificate, agreement_id)


def term(agreement: Agreement) -> tuple[datetime, datetime]:
    """From when to when an agreement in force can be used: a termination ends it early."""
    begins = max(agreement.starts_at, agreement.finalized_at or agreement.starts_at)
    ends = min(agreement.ends_at, agreement.terminated_at or agreement.ends_at)
    return begins, max(begins, ends)


def reported_to(db: Session, agreement: Agreement) -> datetime:
    """Up to when use is reported: the end of the last report, or the beginning of the term."""
    accepted = reports(db, agreement.id)
    return accepted[-1].period_to if accepted else term(agreement)[0]


def uses(db: Session, agreement_id: str) -> list[LoggedUse]:
    """The uses of an agreement that count, in order: allowed, and not closed again before a byte was served."""
    opened: dict[tuple[str, int], LoggedUse] = {}
    tags = (str(Tag.USE_ALLOWED), str(Tag.TRANSFER_CLOSED))
    rows = select(Entry).where(Entry.agreement == agreement_id, col(Entry.tag).in_(tags))
    for entry in db.exec(rows.order_by(col(Entry.id)).execution_options(yield_per=500)):
        facts = read_strictly(entry.body)["facts"]
        leg = (facts["transfer"], facts["leg"])
        if entry.tag == Tag.TRANSFER_CLOSED and not facts["bytes"] and facts["outcome"] != "complete":
            opened.pop(leg, None)
        elif entry.tag == Tag.USE_ALLOWED and facts["uses"]:
            opened[leg] = LoggedUse(entry.at, facts["purpose"], facts["manifest"])
    return list(opened.values())


def overdue_between(db: Session, buyer: str, provider: str) -> list[str]:
    """Reason codes of the overdue proofs that a buyer owes a provider under agreements that are over."""
    return sorted({MISSING[Kind(kind)] for kind in _OWED.rows(db, buyer=buyer, provider=provider)})


def report_missing(db: Session, agreement_id: str) -> bool:
    """Whether a report of use is overdue, which keeps the agreement suspended."""
    found = duty(db, agreement_id, Kind.REPORT_USE)
    return found is not None and found.state == DutyState.OVERDUE


def of_agreement(db: Session, agreement_id: str) -> Iterator[Duty]:
    """What is owed under an agreement, reports first."""
    for kind in (Kind.REPORT_USE, Kind.DELETE):
        found = duty(db, agreement_id, kind)
        if found is not None:
            yield found
