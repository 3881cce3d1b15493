"""Pure rules of charging: the month a moment lies in, what of a use a plan measures."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from marketplace.exchange.pricing import Month, Rate
from marketplace.kernel.clock import CHINA

KIND = "use.transfer"
"""Kind of the metered events of uses."""


@dataclass(frozen=True)
class Used:
    """What one leg of a transfer served.  uses: 1 when it counts as a use; studies: ids within the version.

    bytes: where the plan measures them, those that no earlier leg of the same use served.
    studies may be left empty where the plan does not measure them.
    """

    transfer: str
    leg: int
    uses: int
    bytes: int
    studies: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Plain:
    """What a month has had at plain prices per use, which keep no counters.  fen: what these uses cost."""

    uses: int = 0
    fen: int = 0

    def with_counters(self, month: Month) -> Month:
        """All that a month has had, from what its counters say."""
        return replace(month, counted=month.counted + self.uses, charged_fen=month.charged_fen + self.fen)


def month_of(moment: datetime) -> str:
    """The month of China's calendar, `2026-09`."""
    return f"{moment.astimezone(CHINA):%Y-%m}"


def month_bounds(month: str) -> tuple[datetime, datetime]:
    """The first moment of a month and the first that is no longer in it."""
    year, number = (int(part) for part in month.split("-"))
    first = datetime(year, number, 1, tzinfo=CHINA)
    return first, first + timedelta(days=monthrange(year, number)[1])


def months_over(now: datetime, number: int) -> list[str]:
    """The last so many months that are over at a moment, the oldest first."""
    found: list[str] = []
    for _ in range(number):
        first, _after = month_bounds(found[-1] if found else month_of(now))
        found.append(month_of(first - timedelta(microseconds=1)))
    return found[::-1]


def days_in_force(month: str, begins: datetime, ends: datetime) -> tuple[int, int]:
    """(days begun of the month on which a term runs, days of the month)."""
    first, after = month_bounds(month)
    total = (after - first).days
    low, high = max(begins, first).astimezone(CHINA), min(ends, after).astimezone(CHINA)
    if low >= high:
        return 0, total
    last = high - timedelta(microseconds=1)
    return (last.date() - low.date()).days + 1, total


def is_plain(rate: Rate | None) -> bool:
    """Whether each use costs the same whatever came before it: such a price needs no counters of the month."""
    return rate is not None and rate.linear and rate.measure == "use"


def measures_studies(rate: Rate | None) -> bool:
    """Whether charging needs to know which studies were served."""
    return rate is not None and rate.measure in {"case", "scan"}


def measures_bytes(rate: Rate | None) -> bool:
    """Whether charging needs to know which bytes a use had not served before."""
    return rate is not None and rate.measure == "gigabyte"


def quanta(rate: Rate, used: Used, new_studies: int) -> int:
    """How much of what the plan measures a use has taken.  new_studies: of used.studies, those not counted before."""
    match rate.measure:
        case "use":
            return used.uses
        case "case" | "scan":
            return new_studies
        case "gigabyte":
            return used.bytes
        case "compute_hour":
            return 0
