"""Pure rules of the buyer's duties: due dates from the agreement's ODRL, periods, what follows when none is met."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from marketplace.audit.entry import Tag
from marketplace.kernel.canonical import Json
from marketplace.kernel.transitions import Machine, step

REMIND_BEFORE = timedelta(days=7)
GRACE = timedelta(days=14)
"""From the demand until a missing proof has consequences: never without a demand before."""
_DAYS = re.compile(r"P([1-9][0-9]{0,3})D")


class Kind(StrEnum):
    """What a buyer owes; values are the ODRL actions of the duties."""

    REPORT_USE = "mkt:reportUse"
    DELETE = "delete"


class DutyState(StrEnum):
    """How far a duty has come; a report that is accepted starts the next one."""

    PENDING = "pending"
    REMINDED = "reminded"
    DEMANDED = "demanded"
    OVERDUE = "overdue"
    MET = "met"


_D = DutyState
_UNMET = (_D.PENDING, _D.REMINDED, _D.DEMANDED, _D.OVERDUE)

_CHASED = (
    step(_D.PENDING, _D.REMINDED, "service", Tag.DUTY_REMINDED),
    step(_D.PENDING, _D.DEMANDED, "service", Tag.DUTY_DEMANDED),
    step(_D.REMINDED, _D.DEMANDED, "service", Tag.DUTY_DEMANDED),
    step(_D.DEMANDED, _D.OVERDUE, "service", Tag.DUTY_OVERDUE),
)
REPORT_DUTY = Machine(
    name="report_duty",
    steps=(
        *_CHASED,
        *(step(source, _D.PENDING, "buyer", Tag.USE_REPORTED) for source in _UNMET),
        *(step(source, _D.MET, "buyer", Tag.USE_REPORTED) for source in _UNMET),
        step(_D.PENDING, _D.MET, "service", Tag.DUTY_ENDED),
    ),
)
DELETION_DUTY = Machine(
    name="deletion_duty",
    steps=(*_CHASED, *(step(source, _D.MET, "buyer", Tag.DELETION_CERTIFIED) for source in _UNMET)),
)
MACHINES = {Kind.REPORT_USE: REPORT_DUTY, Kind.DELETE: DELETION_DUTY}
MISSING = {Kind.REPORT_USE: "use_report_missing", Kind.DELETE: "deletion_certificate_missing"}
"""Reason codes of a duty that is overdue."""


@dataclass(frozen=True)
class Period:
    """A stretch of the term that one report covers, and by when that report is due."""

    begins: datetime
    ends: datetime
    due_at: datetime


def days_of(uses: Json, kind: Kind) -> int | None:
    """Within how many days a proof is due, the strictest of all permissions; None when the agreement asks for none."""
    found = [
        int(days[1])
        for permission in uses.get("permission", [])
        for duty in permission.get("duty", [])
        if duty.get("action") == kind
        for value in _elapsed(duty.get("constraint", []))
        if (days := _DAYS.fullmatch(value))
    ]
    return min(found, default=None)


def _elapsed(constraint: Any) -> Iterator[str]:
    """The values of `elapsedTime`, also inside logical constraints and as typed literals."""
    match constraint:
        case {"leftOperand": "elapsedTime", "rightOperand": {"@value": value}}:
            yield str(value)
        case {"leftOperand": "elapsedTime", "rightOperand": value}:
            yield str(value)
        case dict():
            for inner in constraint.values():
                yield from _elapsed(inner)
        case list():
            for inner in constraint:
                yield from _elapsed(inner)


def due_after(since: datetime, days: int) -> datetime:
    """When a proof is due: so many days after the last report's end, or after the end of the agreement."""
    return since + timedelta(days=days)


def remind_at(due_at: datetime, days: int) -> datetime:
    """When the reminder goes out: a week before, at short periods halfway."""
    return due_at - min(REMIND_BEFORE, timedelta(days=days) / 2)


def calendar(reported_to: datetime, ends_at: datetime, days: int) -> list[Period]:
    """The latest periods and due dates for what of a term is not reported yet, in order; without gap or overlap."""
    periods: list[Period] = []
    while reported_to < ends_at:
        due_at = due_after(reported_to, days)
        periods.append(Period(reported_to, min(due_at, ends_at), due_at))
        reported_to = periods[-1].ends
    return periods


def follows(state: DutyState, due_at: datetime, days: int, demanded_at: datetime | None, now: datetime) -> DutyState:
    """The state that the clock alone brings about; the same state when it is not time."""
    match state:
        case DutyState.PENDING | DutyState.REMINDED if now >= due_at:
            return DutyState.DEMANDED
        case DutyState.PENDING if now >= remind_at(due_at, days):
            return DutyState.REMINDED
        case DutyState.DEMANDED if demanded_at is not None and now >= demanded_at + GRACE:
            return DutyState.OVERDUE
        case _:
            return state


def differences(declared: Mapping[str, int], logged: Iterable[str]) -> list[Json]:
    """Where declared and logged uses differ: [{purpose, declared, logged}] by purpose.

    logged: the purpose of each use of the period.
    """
    counted = Counter(logged)
    return [
        {"purpose": purpose, "declared": declared.get(purpose, 0), "logged": counted[purpose]}
        for purpose in sorted({*declared, *counted})
        if declared.get(purpose, 0) != counted[purpose]
    ]
