"""The books as a journal, in the form in which exports write them: days, transactions, balances before and after."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from marketplace.kernel.clock import CHINA
from marketplace.ledger.periods import end_of
from marketplace.ledger.rules import Line

Sums = Mapping[tuple[str, str, str], int]
"""(owner, account, currency) -> minor units, debit positive."""


@dataclass(frozen=True)
class JournalTransaction:
    """One transaction as it is exported.  at: when it happened; period: the month that it counts in."""

    id: str
    kind: str
    memo: str
    at: datetime
    posted_at: datetime
    period: str
    entry_id: str
    posting_entry_id: str
    asset: str | None
    version: str | None
    stage: str | None
    agreement: str | None
    reverses: str | None
    lines: tuple[Line, ...]

    @property
    def day(self) -> date:
        """The day it is booked on: of its event in China, or the first of the month that it counts in."""
        happened = self.at.astimezone(CHINA).date()
        return happened if happened.isoformat().startswith(self.period) else date.fromisoformat(f"{self.period}-01")


@dataclass(frozen=True)
class Journal:
    """What is exported: the months from first to last, both included.  opening: sums of what counted before."""

    first: str
    last: str
    opening: Sums
    transactions: Iterable[JournalTransaction]

    @property
    def opened_on(self) -> date:
        return date.fromisoformat(f"{self.first}-01")

    @property
    def closed_on(self) -> date:
        """The first day after the last month."""
        return end_of(self.last).astimezone(CHINA).date()


def transaction(row: Any, lines: Sequence[Any]) -> JournalTransaction:
    """From a row of the books, or what the API tells of one, and its postings."""
    return JournalTransaction(
        id=row.id,
        kind=row.kind,
        memo=row.memo,
        at=row.at,
        posted_at=row.posted_at,
        period=row.period,
        entry_id=row.entry_id,
        posting_entry_id=row.posting_entry_id,
        asset=row.asset,
        version=row.version,
        stage=row.stage,
        agreement=row.agreement,
        reverses=row.reverses,
        lines=tuple(Line(one.account, one.owner, one.amount_minor, one.currency) for one in lines),
    )


class Tally:
    """Sums up what passes through it, so that a journal can end with its balances without being read twice."""

    def __init__(self, opening: Sums) -> None:
        self.sums: dict[tuple[str, str, str], int] = defaultdict(int, opening)

    def add(self, one: JournalTransaction) -> None:
        for line in one.lines:
            self.sums[line.owner, line.account, line.currency] += line.amount_minor


def major(minor: int) -> str:
    """An amount in major units with two places: `-12.05`; exact, whatever its size."""
    whole, rest = divmod(abs(minor), 100)
    return f"{'-' if minor < 0 else ''}{whole}.{rest:02}"
