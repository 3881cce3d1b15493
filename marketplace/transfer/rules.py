"""Pure rules of a transfer: byte ranges, and how a leg may end."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from marketplace.kernel.errors import Invalid

COMPLETE: Final = "complete"
BROKEN: Final = "broken"
DAMAGED: Final = "damaged"
ORPHANED: Final = "orphaned"
SUPERSEDED: Final = "superseded"

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class RangeNotSatisfiable(Invalid):
    """The range lies outside the representation."""


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
