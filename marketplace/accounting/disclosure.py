"""The sheet for accountants: cost, amortisation, impairment and carrying amount of data resources over some months.

The lines are those that 财会〔2023〕11号 asks for in the notes: of each category what was carried before, what came,
what went and what is carried after, cost and what is written off it apart; every figure is a sum of postings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlmodel import Session

from marketplace.accounting import queries, rules
from marketplace.accounting.models import Capitalisation
from marketplace.accounting.rules import ACCOUNT, IMPAIRMENT, SPREAD, Origin, Treatment
from marketplace.audit import cells
from marketplace.kernel.actor import Actor, Role
from marketplace.ledger.journal import major
from marketplace.ledger.periods import end_of, following, month_of
from marketplace.ledger.queries import closed_through

_PARTS = ("cost", "amortised", "impaired", "carrying")
_STEPS = ("opening", "increase", "decrease", "closing")


@dataclass(frozen=True)
class Movement:
    """How an amount moved over the months, minor units; a decrease is negative where more was taken back than went."""

    opening_minor: int = 0
    increase_minor: int = 0
    decrease_minor: int = 0

    @property
    def closing_minor(self) -> int:
        return self.opening_minor + self.increase_minor - self.decrease_minor

    def __add__(self, other: Movement) -> Movement:
        return Movement(
            self.opening_minor + other.opening_minor,
            self.increase_minor + other.increase_minor,
            self.decrease_minor + other.decrease_minor,
        )


@dataclass(frozen=True)
class Line:
    """One data resource, or the sum of all of one treatment, whose asset is empty and whose months left are None.

    months_left: of the useful life after the last month that is over, None for inventory; amortised, impaired: what is
    accumulated of either.
    """

    asset: str
    treatment: Treatment
    origin: Origin
    currency: str
    months_left: int | None
    cost: Movement
    amortised: Movement
    impaired: Movement

    @property
    def carrying(self) -> Movement:
        """Cost less what is written off it, as its balance sheet has it."""
        less = self.amortised + self.impaired
        return self.cost + Movement(-less.opening_minor, -less.decrease_minor, less.increase_minor)


@dataclass(frozen=True)
class Sheet:
    """The months from first to last.  unsigned_months: those that are not closed yet, up to now."""

    first: str
    last: str
    lines: Sequence[Line]
    sums: Sequence[Line]
    unsigned_months: Sequence[str]


def sheet(db: Session, actor: Actor, first: str, last: str, now: datetime) -> Sheet:
    """The caller's own data resources over some months; an auditor's everybody's."""
    owner = None if actor.has(Role.AUDITOR) else actor.participant
    held = [one for one in queries.capitalised_by(db, owner) if one.began_at < end_of(last)]
    lines = [_line(db, one, first, last, now) for one in held]
    sums = [total for treatment in Treatment if (total := _sum(lines, treatment)) is not None]
    return Sheet(first, last, lines, sums, list(_open_months(closed_through(db), first, min(last, month_of(now)))))


def as_csv(found: Sheet) -> str:
    """The lines and sums as CSV, amounts in major units; see `audit.cells`."""
    header = ["asset", "treatment", "origin", "currency", "months_left"]
    header += [f"{part}_{step}" for part in _PARTS for step in _STEPS]
    return cells.table(header, (_row(one) for one in (*found.lines, *found.sums)))


def _line(db: Session, row: Capitalisation, first: str, last: str, now: datetime) -> Line:
    def over(account: str) -> tuple[int, int]:
        return queries.turnover(db, row, account, first, last)

    treatment = Treatment(row.treatment)
    added, spread = over(ACCOUNT[treatment]), over(SPREAD[treatment])
    is_spread = treatment == Treatment.INTANGIBLE
    # Inventory that is sold is no longer there; an intangible asset stands at its cost until its end.
    cost = Movement(*added) if is_spread else Movement(added[0] - spread[0], added[1], spread[1])
    return Line(
        asset=row.asset_id,
        treatment=treatment,
        origin=Origin.SELF_DEVELOPED,
        currency=row.currency,
        months_left=_months_left(row, last, now) if is_spread else None,
        cost=cost,
        amortised=Movement(*spread) if is_spread else Movement(),
        impaired=Movement(*over(IMPAIRMENT)),
    )


def _months_left(row: Capitalisation, last: str, now: datetime) -> int:
    """Months of useful life that are not over after a month, or by now; none of an asset that was impaired by then."""
    if row.ended_at is not None and month_of(row.ended_at) <= last:
        return 0
    return row.parts - min(rules.months_done(row.began_at, min(end_of(last), now)), row.parts)


def _sum(lines: Sequence[Line], treatment: Treatment) -> Line | None:
    mine = [one for one in lines if one.treatment == treatment]
    if not mine:
        return None
    return replace(
        mine[0],
        asset="",
        months_left=None,
        cost=_total(one.cost for one in mine),
        amortised=_total(one.amortised for one in mine),
        impaired=_total(one.impaired for one in mine),
    )


def _total(movements: Iterable[Movement]) -> Movement:
    return sum(movements, Movement())


def _open_months(closed: str | None, first: str, last: str) -> Iterator[str]:
    month = first
    while month <= last:
        if closed is None or month > closed:
            yield month
        month = following(month)


def _row(one: Line) -> list[object]:
    named = [one.asset, one.treatment, one.origin, one.currency, one.months_left]
    return [*named, *(major(getattr(getattr(one, part), f"{step}_minor")) for part in _PARTS for step in _STEPS)]
