"""What an agreement's page shows of the buyer's duties and of the proofs that met them."""

from __future__ import annotations

from typing import Any

from marketplace.console import codes, formats, policies
from marketplace.console.reader import Reader
from marketplace.negotiation.duties import queries, shown
from marketplace.negotiation.duties.models import DeletionCertificate, UseReport
from marketplace.negotiation.duties.rules import DutyState, Kind
from marketplace.negotiation.duties.schemas import DutyOut
from marketplace.negotiation.models import Agreement

_OFTEN = {
    Kind.REPORT_USE: {"en": "within {} days of the last report", "zh": "距上次报告 {} 日内"},
    Kind.DELETE: {"en": "within {} days of the end", "zh": "合约结束后 {} 日内"},
}
_CONSEQUENCE = {
    Kind.REPORT_USE: {"en": "use stops on {}", "zh": "{} 起停止使用"},
    Kind.DELETE: {"en": "no new contract from {}", "zh": "{} 起不得订立新合约"},
}
_DIFFERS = {"en": "{}: declared {}, logged {}", "zh": "{}：申报 {} 次，记录 {} 次"}


def part(reader: Reader, agreement: Agreement) -> dict[str, Any]:
    """`duties` with their due dates, and `proofs` that were accepted, the latest first."""
    owed = shown.duties(reader.db, agreement, reader.now).duties
    reports = [_report(reader, one) for one in queries.reports(reader.db, agreement.id)]
    deleted = queries.certificate(reader.db, agreement.id)
    proofs = [*reports, *([_deletion(reader, deleted)] if deleted else [])]
    return {"duties": [_duty(reader, one) for one in owed], "proofs": proofs[::-1]}


def _duty(reader: Reader, owed: DutyOut) -> dict[str, Any]:
    kind, chased = Kind(owed.kind), owed.state in {DutyState.DEMANDED, DutyState.OVERDUE}
    consequence = formats.plain_day(owed.consequence_at, reader.language) if chased and owed.consequence_at else ""
    return {
        "name": reader.name(codes.DUTIES, owed.kind),
        "days": _OFTEN[kind][reader.language].format(owed.days),
        "due": formats.day(owed.due_at, reader.language) if owed.due_at else "–",
        "consequence": _CONSEQUENCE[kind][reader.language].format(consequence) if consequence else "",
        "state": reader.name(codes.DUTY_STATES, owed.state),
        "overdue": owed.state == DutyState.OVERDUE,
    }


def _report(reader: Reader, report: UseReport) -> dict[str, Any]:
    period = " – ".join(formats.plain_day(one, reader.language) for one in (report.period_from, report.period_to))
    differences = [
        _DIFFERS[reader.language].format(
            policies.purpose(one["purpose"], reader.language), one["declared"], one["logged"]
        )
        for one in report.differences
    ]
    return {
        "when": formats.minute(report.accepted_at, reader.language),
        "name": reader.name(codes.DUTIES, Kind.REPORT_USE),
        "lines": [period, *differences, *([reader.say("handed_in_late")] if report.late else [])],
        "document": report.document,
    }


def _deletion(reader: Reader, made: DeletionCertificate) -> dict[str, Any]:
    return {
        "when": formats.minute(made.accepted_at, reader.language),
        "name": reader.name(codes.DUTIES, Kind.DELETE),
        "lines": [reader.name(codes.DELETION_METHODS, made.method)]
        + ([reader.say("handed_in_late")] if made.late else []),
        "document": made.document,
    }
