"""How many visible listings each filter would find.

Counting looks at every listing that is found, so it is not part of a page, and a count is kept for a while: a hundred
times as long as it took, at most five minutes.  A small catalogue is so counted anew at nearly every asking.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlmodel import Session, col

from marketplace.exchange.catalogue import Wanted, lines
from marketplace.exchange.indexing import EVERY, label
from marketplace.exchange.models import CatalogueTerm
from marketplace.exchange.searching import search
from marketplace.kernel.errors import Unavailable

KINDS: Final = ("modality", "body_part", "purpose", "provider")
KEPT_FOR = 100
LONGEST_KEPT = timedelta(minutes=5)
WAIT_S = 1.0
MOST_KEPT = 64


class CountingBusy(Unavailable):
    """The catalogue is being counted for others."""


@dataclass(frozen=True)
class Facets:
    """Counts at one moment.  listings: how many were found; values: kind of filter -> value -> listings with it."""

    counted_at: datetime
    listings: int
    values: dict[str, dict[str, int]]


class FacetCounts:
    """The counts that an application keeps."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Wanted, tuple[Facets, timedelta]] = OrderedDict()
        self._turn = threading.Lock()

    @classmethod
    def of(cls, app: Any) -> FacetCounts:
        """The counts of an application, made at the first asking."""
        kept: FacetCounts | None = getattr(app.state, "facet_counts", None)
        if kept is None:
            kept = app.state.facet_counts = cls()
        return kept

    def facets(self, db: Session, now: datetime, wanted: Wanted) -> Facets:
        """The kept count, or a new one where it is too old; one is counted at a time, others get the older.

        Raises UnknownCode, CountingBusy.
        """
        known = self._kept.get(wanted)
        if known is not None and timedelta(0) <= now - known[0].counted_at < known[1]:
            return known[0]
        if not self._turn.acquire(timeout=0 if known else WAIT_S):
            if known is None:
                raise CountingBusy("other counts are still running", action="ask again in a few seconds")
            return known[0]
        try:
            start = time.perf_counter()
            found = count(db, now, wanted)
            took = timedelta(seconds=time.perf_counter() - start)
            self._keep(wanted, found, min(took * KEPT_FOR, LONGEST_KEPT))
        finally:
            self._turn.release()
        return found

    def _keep(self, wanted: Wanted, found: Facets, fresh_for: timedelta) -> None:
        self._kept[wanted] = (found, fresh_for)
        self._kept.move_to_end(wanted)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)


def count(db: Session, now: datetime, wanted: Wanted) -> Facets:
    """Count all visible listings that hold what is wanted, in two statements.  Raises UnknownCode."""
    found = search(db, wanted, None)
    empty: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
    if found is None:
        return Facets(now, 0, empty)
    numbers = lines(found, now).cte("found")
    counted = db.execute(sa.union_all(*(_of_kind(one, numbers) for one in (EVERY, *KINDS))))
    counts: dict[str, int] = {row.term: row.many for row in counted}
    for term, many in counts.items():
        kind, _, value = term.partition(":")
        if kind in empty:
            empty[kind][value] = many
    return Facets(now, counts.get(EVERY, 0), empty)


def _of_kind(kind: str, numbers: Any) -> Any:
    """Labels of one kind and how many of the lines hold each; a kind's labels lie side by side in the index."""
    first, last = label(kind.rstrip(":"), ""), f"{kind.rstrip(':')};"  # the semicolon follows the colon
    return (
        sa.select(col(CatalogueTerm.term), sa.func.count().label("many"))
        .join(numbers, numbers.c.number == col(CatalogueTerm.number))
        .where(col(CatalogueTerm.term) >= first, col(CatalogueTerm.term) < last)
        .group_by(col(CatalogueTerm.term))
    )
