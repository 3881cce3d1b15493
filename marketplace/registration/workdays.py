"""Working days in China: Monday to Friday, changed by the published list of a year.  Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from marketplace.kernel.canonical import read_strictly
from marketplace.kernel.clock import require_utc

FILE = Path(__file__).resolve().parents[2] / "contracts" / "registration" / "cn-workdays.json"
SHANGHAI = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True)
class Workdays:
    """Which days count.  years: those with a published list; in every other year Monday to Friday count."""

    years: frozenset[int]
    holidays: frozenset[date]
    working_weekends: frozenset[date]

    def counts(self, day: date) -> bool:
        """Whether a day is a working day."""
        if day in self.working_weekends:
            return True
        return day.weekday() < 5 and day not in self.holidays


@cache
def published() -> Workdays:
    """The lists in `contracts/registration/cn-workdays.json`, each with its source."""
    years = read_strictly(FILE.read_bytes())["years"]
    return Workdays(
        years=frozenset(int(year) for year in years),
        holidays=frozenset(date.fromisoformat(day) for row in years.values() for day in row["holidays"]),
        working_weekends=frozenset(
            date.fromisoformat(day) for row in years.values() for day in row["working_weekends"]
        ),
    )


def local_day(moment: datetime) -> date:
    """The calendar day of a moment in Shanghai."""
    return require_utc(moment).astimezone(SHANGHAI).date()


def end_of_working_day(start: datetime, days: int, workdays: Workdays) -> datetime:
    """The end of the n-th working day after the day of `start`, in UTC.

    The day on which a period begins does not count (Civil Code art. 201); the last one counts to midnight in Shanghai.
    """
    day, left = local_day(start), days
    while left > 0:
        day += timedelta(days=1)
        left -= workdays.counts(day)
    return require_utc(datetime.combine(day + timedelta(days=1), time(), SHANGHAI))


def working_days_between(start: datetime, end: datetime, workdays: Workdays) -> int:
    """Working days after the day of `start` up to and including the day before the midnight `end`, or its own day."""
    last = local_day(end - timedelta(microseconds=1))
    first = local_day(start)
    return sum(workdays.counts(first + timedelta(days=ahead + 1)) for ahead in range((last - first).days))


def finish_by(accepted: datetime, days: int, pause: tuple[datetime, datetime] | None, workdays: Workdays) -> datetime:
    """When the registrar must have finished; the working days of notice and objections are not counted."""
    paused = working_days_between(*pause, workdays) if pause else 0
    return end_of_working_day(accepted, days + paused, workdays)
