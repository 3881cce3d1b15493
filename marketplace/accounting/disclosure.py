"""The sheet for accountants: what data resources were carried at, added, written off, over some months.

The lines are those that 财会〔2023〕11号 asks for in the notes: by category the opening balance, additions, write-offs
and closing balance of data resources; every figure is a sum of postings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields, replace
from datetime import datetime

from sqlmodel import Session

from marketplace.accounting import queries
from marketplace.accounting.models import Capitalisation
from marketplace.accounting.rules import ACCOUNT, IMPAIRMENT, SPREAD, WRITTEN_DOWN, Treatment
from marketplace.audit import cells
from marketplace.kernel.actor import Actor, Role
from marketplace.ledger.journal import major
from marketplace.ledger.periods import following, month_of
from marketplace.ledger.queries import closed_through


@dataclass(frozen=True)
class Line:
    """One data resource, minor units.  closing = opening + additions - amortised - cost of sales - impaired."""

    asset: str
    treatment: str
    currency: str
    opening_minor: int
    additions_minor: int
    amortised_minor: int
    cost_of_sales_minor: int
    impaired_minor: int

    @property
    def closing_minor(self) -> int:
        gone = self.amortised_minor + self.cost_of_sales_minor + self.impaired_minor
        return self.opening_minor + self.additions_minor - gone


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
    lines = [_line(db, one, first, last) for one in queries.capitalised_by(db, owner)]
    sums = [total for treatment in Treatment if (total := _sum(lines, treatment)) is not None]
    return Sheet(first, last, lines, sums, list(_open_months(closed_through(db), first, min(last, month_of(now)))))


def as_csv(found: Sheet) -> str:
    """The lines and sums as CSV, amounts in major units; see `audit.cells`."""
    header = [one.name.removesuffix("_minor") for one in fields(Line)] + ["closing"]
    return cells.table(header, (_row(one) for one in (*found.lines, *found.sums)))


def _line(db: Session, row: Capitalisation, first: str, last: str) -> Line:
    def over(account: str) -> tuple[int, int]:
        return queries.turnover(db, row, account, first, last)

    cost, down = over(ACCOUNT[Treatment(row.treatment)]), over(WRITTEN_DOWN)
    return Line(
        asset=row.asset_id,
        treatment=row.treatment,
        currency=row.currency,
        opening_minor=cost[0] + down[0],
        additions_minor=cost[1],
        amortised_minor=over(SPREAD[Treatment.INTANGIBLE])[1],
        cost_of_sales_minor=over(SPREAD[Treatment.INVENTORY])[1],
        impaired_minor=over(IMPAIRMENT)[1],
    )


def _sum(lines: Sequence[Line], treatment: str) -> Line | None:
    mine = [one for one in lines if one.treatment == treatment]
    if not mine:
        return None
    names = [one.name for one in fields(Line) if one.name.endswith("_minor")]
    return replace(mine[0], asset="", **{name: sum(getattr(one, name) for one in mine) for name in names})


def _open_months(closed: str | None, first: str, last: str) -> Iterator[str]:
    month = first
    while month <= last:
        if closed is None or month > closed:
            yield month
        month = following(month)


def _row(one: Line) -> list[object]:
    shown = [major(value) if isinstance(value, int) else value for value in astuple(one)]
    return [*shown, major(one.closing_minor)]
