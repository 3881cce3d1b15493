"""Periods of the books: months in China, closed in order by a signed act, and where a posting counts.

A posting counts in the month of its event.  When that month is closed it counts in the first open month after the last
closed one and keeps the true date of its event: late costs are not refused, and a closed month never changes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from marketplace.audit.entry import Tag
from marketplace.kernel.canonical import Json, digest
from marketplace.kernel.clock import CHINA
from marketplace.kernel.errors import Conflict, Invalid
from marketplace.kernel.transitions import Machine, step

FIRST_MONTH, LAST_MONTH = "2000-01", "2099-12"
_PERIOD = re.compile(r"20\d{2}-(0[1-9]|1[0-2])")


class NoPeriod(Invalid):
    """Not a period of the books."""


class PeriodNotOver(Conflict):
    """The period has not ended yet."""


class NotTheNextPeriod(Conflict):
    """Periods are closed in order, and the last closed one is reopened first."""


class BooksMoved(Conflict):
    """The books are no longer what the document says."""


class PeriodState(StrEnum):
    """Whether postings may still count in a period."""

    OPEN = "open"
    CLOSED = "closed"


PERIODS = Machine(
    "ledger period",
    (
        step(PeriodState.OPEN, PeriodState.CLOSED, "platform_operator", Tag.PERIOD_CLOSED),
        step(PeriodState.CLOSED, PeriodState.OPEN, "platform_operator", Tag.PERIOD_REOPENED),
    ),
    {PeriodState.OPEN: frozenset({"post"})},
)


class ReopeningReason(StrEnum):
    """Why a closed period is opened again; codes, because entries hold no free text."""

    WRONG_POSTING = "wrong_posting"
    AUDIT_ADJUSTMENT = "audit_adjustment"
    COURT_OR_REGULATOR = "court_or_regulator"


@dataclass(frozen=True)
class TrialBalanceRow:
    """One account of one participant in a period, minor units, debit positive.  closing = opening + debit - credit."""

    owner: str
    account: str
    currency: str
    opening_minor: int
    debit_minor: int
    credit_minor: int

    @property
    def closing_minor(self) -> int:
        return self.opening_minor + self.debit_minor - self.credit_minor


def read_period(text: str) -> str:
    """A period as a caller names it, `2026-09`.  Raises NoPeriod."""
    if not _PERIOD.fullmatch(text):
        raise NoPeriod("a period is a month", expected="a year and a month, 2026-09", got=f"{len(text)} characters")
    return text


def read_months(first: str, last: str) -> tuple[str, str]:
    """A stretch of months as a caller names it, both included.  Raises NoPeriod."""
    if read_period(first) > read_period(last):
        raise NoPeriod("the last month is before the first", expected=f"a month from {first} on", got=last)
    return first, last


def month_of(moment: datetime) -> str:
    """The month in China that a moment lies in."""
    return moment.astimezone(CHINA).strftime("%Y-%m")


def following(period: str) -> str:
    """The month after one."""
    year, month = int(period[:4]), int(period[5:])
    return f"{year + month // 12}-{month % 12 + 1:02}"


def months_from(first: str, last: str) -> int:
    """How many months lie from one to another, 0 for the same; negative when it lies before."""
    return (int(last[:4]) - int(first[:4])) * 12 + int(last[5:]) - int(first[5:])


def month_after(period: str, months: int) -> str:
    """The month so many after one."""
    year, month = divmod(int(period[:4]) * 12 + int(period[5:]) - 1 + months, 12)
    return f"{year}-{month + 1:02}"


def end_of(period: str) -> datetime:
    """The first moment after a period, UTC."""
    following_month = following(period)
    return datetime(int(following_month[:4]), int(following_month[5:]), 1, tzinfo=CHINA).astimezone(UTC)


def booking_period(at: datetime, closed_through: str | None) -> str:
    """The period in which an event of a moment counts.  closed_through: the last closed period."""
    month = month_of(at)
    return month if closed_through is None or month > closed_through else following(closed_through)


def trial_balance_hash(rows: Sequence[TrialBalanceRow]) -> str:
    """SHA-256 over the canonical rows (RFC 8785) in order of owner, account and currency; amounts as text."""
    ordered = sorted(rows, key=lambda row: (row.owner, row.account, row.currency))
    return digest([_plain(row) for row in ordered])


def _plain(row: TrialBalanceRow) -> Json:
    amounts = (row.opening_minor, row.debit_minor, row.credit_minor, row.closing_minor)
    told = dict(zip(("opening", "debit", "credit", "closing"), map(str, amounts), strict=True))
    return {"owner": row.owner, "account": row.account, "currency": row.currency, **told}


def close_document(period: str, rows: Sequence[TrialBalanceRow], counts: tuple[int, int], previous: str | None) -> Json:
    """The document whose signature closes a period.

    counts: transactions and postings that count in it; previous: SHA-256 of the close before it, None for the first.
    """
    totals: Mapping[str, int] = {}
    for row in rows:
        totals = {**totals, row.currency: totals.get(row.currency, 0) + row.debit_minor}
    return {
        "type": "period-close",
        "v": 1,
        "period": period,
        "transactions": counts[0],
        "postings": counts[1],
        # Debits equal credits, so one turnover per currency tells both.
        "turnover": [{"currency": name, "minor": str(total)} for name, total in sorted(totals.items())],
        "trial_balance": trial_balance_hash(rows),
        "previous": previous,
    }


def reopening_document(period: str, close: str, reason: ReopeningReason) -> Json:
    """The document whose signature opens a closed period again.  close: SHA-256 of the close that it takes back."""
    return {"type": "period-reopening", "v": 1, "period": period, "close": close, "reason": str(reason)}
