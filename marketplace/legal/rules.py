"""What an opinion must hold and what follows from its findings (domain facts, section 4).  Pure."""

from __future__ import annotations

import calendar
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from marketplace.assets.stages import Stage
from marketplace.kernel.actor import Role
from marketplace.kernel.errors import Conflict, Forbidden, Invalid
from marketplace.legal.checklist import Checklist, Item

LAW_PROFILE = "CN-national-2026"
LIFE_MONTHS = 12
LAWYERS = 2

# The first opinion advances a version; a later one renews the assessment of what is already on its way.
ADVANCING = frozenset({Stage.GOVERNED, Stage.ASSESSED})
ASSESSABLE = ADVANCING | {Stage.CERTIFIED, Stage.LISTED}
PARTIAL = frozenset({Role.PROVIDER, Role.BUYER, Role.REGISTRAR, Role.EXCHANGE_OPERATOR, Role.PLATFORM_OPERATOR})


class Result(StrEnum):
    """The answer to one item."""

    MET = "met"
    MET_WITH_CONDITION = "met_with_condition"
    NOT_MET = "not_met"
    NOT_APPLICABLE = "not_applicable"


class Outcome(StrEnum):
    """What an opinion says as a whole."""

    PASS = "PASS"  # noqa: S105 - an outcome, not a password
    CONDITIONAL = "CONDITIONAL"
    FAIL = "FAIL"


class IncompleteChecklist(Invalid):
    """Every item of the checklist is answered exactly once."""


class UnsupportedFinding(Invalid):
    """A finding lacks what its answer needs."""


class NotIndependent(Forbidden):
    """The assessor must stand apart from every party of the trade."""


class NotAssessable(Conflict):
    """This version cannot be assessed now."""


class OpinionTooLong(Invalid):
    """An opinion expires after twelve months at the latest."""


@dataclass(frozen=True)
class Finding:
    """A law firm's answer to one item.

    evidence: SHA-256 names; condition, owner, due: for an open item, who does what until when;
    carried_from: number of the earlier opinion that this answer was taken from.
    """

    item: int
    result: Result
    note: str = ""
    evidence: tuple[str, ...] = ()
    condition: str = ""
    owner: str = ""
    due: datetime | None = None
    carried_from: str | None = None


def outcome(checklist: Checklist, findings: Sequence[Finding], issued: datetime) -> Outcome:
    """The outcome that follows from complete findings.

    FAIL: a blocking item is not met.  CONDITIONAL: an item that may be conditional is open, under a condition with
    owner and due date.  PASS: nothing is open.  Raises IncompleteChecklist, UnsupportedFinding.
    """
    _require_complete(checklist, findings)
    for finding in findings:
        _require_support(checklist.items[finding.item], finding, issued)
    if any(one.result == Result.NOT_MET and checklist.items[one.item].severity == "B" for one in findings):
        return Outcome.FAIL
    return Outcome.CONDITIONAL if open_findings(checklist, findings) else Outcome.PASS


def open_findings(checklist: Checklist, findings: Iterable[Finding]) -> list[Finding]:
    """Findings that leave something to be done: what a CONDITIONAL opinion hangs on."""
    return [
        one
        for one in findings
        if one.result in {Result.NOT_MET, Result.MET_WITH_CONDITION} and checklist.items[one.item].severity == "C"
    ]


def reopened(checklist: Checklist) -> list[int]:
    """Numbers of the items that a new version of an assessed asset asks again, ascending."""
    return [number for number, item in sorted(checklist.items.items()) if item.reopened_by_delta]


def carry(checklist: Checklist, previous: Mapping[int, Finding], fresh: Sequence[Finding]) -> list[Finding]:
    """Fresh findings completed by earlier ones for items that a new version does not reopen, in item order."""
    answered = {one.item for one in fresh}
    kept = [one for number, one in previous.items() if number not in answered and number not in reopened(checklist)]
    return sorted([*fresh, *kept], key=lambda one: one.item)


def require_independent(firm: str, roles: Collection[str], provider: str) -> None:
    """The assessor is a law firm, is not the provider and plays no other part here.  Raises NotIndependent."""
    if Role.LAW_FIRM not in roles:
        raise NotIndependent(
            "an assessment needs the role law_firm", expected=Role.LAW_FIRM, got=", ".join(sorted(roles)) or "no role"
        )
    if firm == provider:
        raise NotIndependent("the provider cannot assess its own asset", expected="another law firm", got=firm)
    clash = sorted(PARTIAL & set(roles))
    if clash:
        raise NotIndependent(
            "the assessor also plays another part in the market",
            expected="a law firm without any other role than auditor",
            got=", ".join(clash),
            action="let another law firm assess",
        )


def require_assessable(kind: str, stage: str, root: str) -> None:
    """Only a governed, sealed version that is neither suspended nor retired is assessed.  Raises NotAssessable."""
    if kind != "governed" or not root:
        raise NotAssessable("only a governed version with a root is assessed", expected="governed", got=kind)
    if stage not in ASSESSABLE:
        expected = " or ".join(sorted(ASSESSABLE))
        raise NotAssessable("the version is not at a stage to assess", expected=expected, got=stage)


def expiry(issued: datetime, asked: datetime | None) -> datetime:
    """When an opinion ends: as asked, at most and by default twelve months on.  Raises OpinionTooLong."""
    latest = months_later(issued, LIFE_MONTHS)
    if asked is None:
        return latest
    if not issued < asked <= latest:
        raise OpinionTooLong(
            "expiry out of range", expected=f"after now and by {latest.isoformat()}", got=asked.isoformat()
        )
    return asked


def months_later(moment: datetime, months: int) -> datetime:
    """The same day and time some months on; the last day of the month where that day does not exist."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


def _require_complete(checklist: Checklist, findings: Sequence[Finding]) -> None:
    answered = [one.item for one in findings]
    missing = sorted(set(checklist.items) - set(answered))
    strange = sorted(set(answered) - set(checklist.items))
    twice = sorted({number for number in answered if answered.count(number) > 1})
    if missing or strange or twice:
        raise IncompleteChecklist(
            "the findings do not answer the checklist item by item",
            expected=f"one finding for each of the {len(checklist.items)} items",
            got=f"missing {missing}, unknown {strange}, twice {twice}",
        )


def _require_support(item: Item, finding: Finding, issued: datetime) -> None:
    where = f"item {item.number}"
    match finding.result:
        case Result.MET:
            if not finding.evidence:
                raise UnsupportedFinding(f"{where} is met without evidence", expected="at least one hashed evidence")
        case Result.NOT_APPLICABLE:
            if item.always_applies:
                raise UnsupportedFinding(f"{where} always applies", expected="met or not_met", got=finding.result)
            if not finding.note:
                raise UnsupportedFinding(f"{where} does not say why it is not applicable", expected="a note")
        case Result.MET_WITH_CONDITION if item.severity == "B":
            raise UnsupportedFinding(
                f"{where} is blocking and cannot be conditional", expected="met, not_met", got=finding.result
            )
    if item.severity == "C" and finding.result in {Result.NOT_MET, Result.MET_WITH_CONDITION}:
        _require_condition(where, finding, issued)


def _require_condition(where: str, finding: Finding, issued: datetime) -> None:
    if not (finding.condition and finding.owner and finding.due):
        raise UnsupportedFinding(f"{where} is open", expected="a condition, its owner and its due date")
    if finding.due <= issued:
        raise UnsupportedFinding(f"{where} is due in the past", expected="a later day", got=finding.due.isoformat())
