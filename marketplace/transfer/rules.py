"""Pure rules of a transfer: byte ranges, sizes of windows, going on with a use, and how a leg may end."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from marketplace.kernel.canonical import sha256_hex
from marketplace.kernel.errors import Conflict, Invalid

COMPLETE: Final = "complete"
BROKEN: Final = "broken"
DAMAGED: Final = "damaged"
ORPHANED: Final = "orphaned"
SUPERSEDED: Final = "superseded"
IDLE: Final = "idle"
UNWATCHED: Final = "unwatched"
CLOCK_BEHIND: Final = "clock_behind"

SMALLEST_WINDOW: Final = 64 << 10
"""Bytes of the first window, as long as nothing is known of the client; each one after it may be larger by"""
WINDOW_GROWTH: Final = 4
"""times; and a client that is slow gets what it takes in about"""
WINDOW_SECONDS: Final = 5.0
TIMES_SERVED: Final = 2
"""How often each byte of a counted use may leave, over all its legs: once, and once more for what was lost."""
GIGABYTE: Final = 10**9
"""Bytes of one unit of `delivery.gigabyte`."""
LEG_BYTES: Final = 16 << 20
"""A use may be continued once more for each of these, since a long download breaks more often."""

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class RangeNotSatisfiable(Invalid):
    """The range lies outside the representation."""


class UseSpent(Conflict):
    """The use that this Idempotency-Key names has ended."""


@dataclass(frozen=True)
class Span:
    """Bytes [start, end).  partial: the caller asked for a range (206)."""

    start: int
    end: int
    partial: bool

    @property
    def length(self) -> int:
        return self.end - self.start


def span(header: str | None, size: int) -> Span:
    """The span of a Range header (RFC 9110 section 14); several ranges or another unit are answered in full.

    Raises RangeNotSatisfiable.
    """
    match = _RANGE.fullmatch(header.replace(" ", "")) if header else None
    if match is None or match.group(0) == "bytes=-":
        return Span(0, size, partial=False)
    first, last = match.groups()
    if first == "":
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):
            return Span(0, size, partial=False)
    if start >= size or end <= start:
        raise RangeNotSatisfiable("no byte of the range exists", expected=f"below {size}", got=match.group(0))
    return Span(start, end, partial=True)


def key_hash(key: str) -> str:
    """What is kept of an Idempotency-Key."""
    return sha256_hex(key.encode())


def window(largest: int, waiting: int, taken: int, seconds: float) -> int:
    """Bytes of the next window, so that the log is ahead of the client by at most `largest` and one smallest window.

    waiting: bytes sent before that the client has not taken; taken, seconds: how fast it took the window before, 0 and
    0.0 at first.  A window must leave well within the lease of its transfer, so the first is small and a slow client
    gets small ones.
    """
    fits = min(largest - waiting, WINDOW_GROWTH * taken)
    if taken and seconds * largest > WINDOW_SECONDS * taken:
        fits = min(fits, int(taken / seconds * WINDOW_SECONDS))
    return max(fits, min(largest, SMALLEST_WINDOW))


def check_continues(
    opened_at: datetime, served: int, size: int, length: int, legs: int, now: datetime, *, hours: int, most_legs: int
) -> None:
    """Whether a counted use may send `length` bytes more.

    served, legs: its bytes and answers so far; size: bytes of the whole; most_legs: answers that a small one may have.
    Raises UseSpent: otherwise one use could be taken any number of times, or fill the log byte by byte (decision 9).
    """
    if now > opened_at + timedelta(hours=hours):
        raise UseSpent(
            "the use that this Idempotency-Key names is too old to go on with",
            expected=f"within {hours} hours of its start",
            action="use a new key for a new use",
        )
    most = most_legs + size // LEG_BYTES
    if legs >= most:
        raise UseSpent(
            "the use that this Idempotency-Key names has been continued too often",
            expected=f"at most {most} answers",
            got=f"{legs} and one more",
            action="ask for larger parts, and use a new key for a new use",
        )
    if served + length > TIMES_SERVED * size:
        raise UseSpent(
            "the use that this Idempotency-Key names has sent what it may",
            expected=f"at most {TIMES_SERVED} times {size} bytes over all its parts",
            got=f"{served} bytes and {length} more",
            action="ask only for what is missing (Range), or use a new key for a new use",
        )
