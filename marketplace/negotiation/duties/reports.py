"""Reports of use: checked against the term, the one before and the log; the missing one lets uses begin again."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit import documents
from marketplace.audit.entry import Tag
from marketplace.exchange.terms import PURPOSES
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json, digest
from marketplace.kernel.clock import parse_timestamp, timestamp
from marketplace.kernel.errors import Conflict, Forbidden, Invalid, shown
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation import stopping
from marketplace.negotiation.duties import queries, rules
from marketplace.negotiation.duties.models import Duty, UseReport
from marketplace.negotiation.duties.opening import ask_for_chase
from marketplace.negotiation.duties.rules import REPORT_DUTY, DutyState, Kind
from marketplace.negotiation.duties.schemas import AgreementRef, UseReportDocument, UseReportIn
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.rules import Side
from marketplace.negotiation.steps import record_agreement
from marketplace.participants.signatures import accept
from marketplace.plumbing.epochs import Stop

KIND = "use-report"


class NotTheBuyer(Forbidden):
    """The agreement's buyer proves its use, nobody else."""


class AnotherAgreement(Conflict):
    """The document is about another agreement."""


class NeverInForce(Conflict):
    """The agreement has not come into force."""


class PeriodOutside(Conflict):
    """The period of the report is not within the agreement and the past."""


class NotTheNextPeriod(Conflict):
    """The report does not begin where the one before ended."""


class UnknownPurpose(Invalid):
    """The report names a purpose that is not on the closed list."""


def report_use(db: Session, actor: Actor, agreement: Agreement, asked: UseReportIn, now: datetime) -> UseReport:
    """Take the buyer's signed report of use; the same report again is the report that was taken.

    Declared uses are compared with the log and every difference is kept beside the report, which meets the duty all the
    same: it is what the buyer signed.  A use that begins in the very moment of the acceptance may not be counted yet.
    Raises NotTheBuyer, AnotherAgreement, NeverInForce, PeriodOutside, NotTheNextPeriod, UnknownPurpose, BadSignature,
    UnknownKey.  Records: participant:signature_accepted, negotiation:use_reported, negotiation:agreement_resumed.
    """
    negotiation.lock_agreement(db, agreement)
    content = asked.report.model_dump(by_alias=True)
    duty = queries.duty(db, agreement.id, Kind.REPORT_USE)

    require_buyer(actor, agreement)
    require_about(asked.report.agreement, agreement)
    known = queries.report(db, digest(content))
    if known is None:
        _require_period(db, agreement, asked.report, now)
        _require_purposes(asked.report)

    document = documents.keep(db, KIND, content, now, readers=(agreement.provider_id, agreement.buyer_id))
    accept(db, actor.participant, document, asked.jws, typ=f"{KIND}+jws", now=now)
    if known is not None:
        return known
    report = _report(db, agreement, asked.report, document, duty, now)

    report.entry_id = _record(db, actor, agreement, report, now)
    db.add(report)
    if duty is not None:
        _advance(db, agreement, duty, report.period_to, now)
    return report


def require_buyer(actor: Actor, agreement: Agreement) -> None:
    """Raises NotTheBuyer."""
    if actor.participant != agreement.buyer_id:
        raise NotTheBuyer("proofs of use come from the agreement's buyer", expected=agreement.buyer_id)


def require_about(named: AgreementRef, agreement: Agreement) -> None:
    """Raises AnotherAgreement, or NeverInForce for one that was not finalized."""
    if (named.id, named.sha256) != (agreement.id, agreement.document):
        raise AnotherAgreement(
            "name this agreement and the hash of its document",
            expected=f"{agreement.id}, {agreement.document}",
            got=f"{shown(named.id)}, {named.sha256}",
        )
    if agreement.finalized_at is None:
        raise NeverInForce("nothing was used under an agreement that is not in force", got=agreement.state)


def _require_period(db: Session, agreement: Agreement, report: UseReportDocument, now: datetime) -> None:
    begins, ends = _moments(report)
    expected, last = queries.reported_to(db, agreement), min(queries.term(agreement)[1], now)
    if not begins < ends <= last:
        raise PeriodOutside(
            "a report is about past use under its agreement",
            expected=f"a period that ends after it begins and by {timestamp(last)}",
            got=f"{timestamp(begins)} to {timestamp(ends)}",
        )
    if begins != expected:
        raise NotTheNextPeriod(
            "reports follow one another without gap or overlap",
            expected=f"a period from {timestamp(expected)}",
            got=f"from {timestamp(begins)}",
            action="GET the agreement's duties and begin at report_from",
        )


def _require_purposes(report: UseReportDocument) -> None:
    named = [one.purpose for one in report.uses]
    known = {*PURPOSES["known"], *PURPOSES["denied_always"]}
    if len(set(named)) != len(named) or not known.issuperset(named):
        raise UnknownPurpose("name each purpose once", expected="purposes of contracts/odrl/purposes.json")


def _moments(report: UseReportDocument) -> tuple[datetime, datetime]:
    return parse_timestamp(report.period.begins), parse_timestamp(report.period.ends)


def _report(
    db: Session, agreement: Agreement, said: UseReportDocument, document: str, duty: Duty | None, now: datetime
) -> UseReport:
    begins, ends = _moments(said)
    declared = {one.purpose: one.number for one in said.uses}
    logged = [use.purpose for use in queries.uses(db, agreement.id) if begins <= use.at < ends]
    return UseReport(
        document=document,
        agreement_id=agreement.id,
        period_from=begins,
        period_to=ends,
        uses=declared,
        differences=rules.differences(declared, logged),
        late=duty is not None and now > duty.due_at,
        accepted_at=now,
        entry_id="",
    )


def _record(db: Session, actor: Actor, agreement: Agreement, report: UseReport, now: datetime) -> str:
    facts: Json = {
        "document": report.document,
        "from": timestamp(report.period_from),
        "to": timestamp(report.period_to),
        "uses": report.uses,
        "differences": report.differences,
        "late": report.late,
    }
    return record_agreement(db, actor, Tag.USE_REPORTED, agreement, facts, now)


def _advance(db: Session, agreement: Agreement, duty: Duty, reported_to: datetime, now: datetime) -> None:
    """Begin the next stretch; one that is due already leaves the duty demanded or overdue as it is."""
    over = reported_to >= queries.term(agreement)[1]
    duty.since, duty.due_at = reported_to, rules.due_after(reported_to, duty.days)
    db.add(duty)
    if over or duty.due_at > now:
        target = DutyState.MET if over else DutyState.PENDING
        duty.state = REPORT_DUTY.step(DutyState(duty.state), target, [Side.BUYER]).target
        duty.reminded_at = duty.demanded_at = duty.overdue_at = None
        stopping.release(db, agreement, Stop.USE_REPORT_MISSING, now)
    if not over:
        ask_for_chase(db, duty, now)
