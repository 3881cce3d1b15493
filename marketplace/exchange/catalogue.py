"""The public catalogue: what is listed and still valid at this moment, in a constant number of statements.

A page costs the same whatever the size of the catalogue: its places are read along one list of the search index, in
order, from the cursor on (`searching`), and the proofs of these few are looked up as they stand now (`visibility`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from marketplace.assets.models import Asset, Version
from marketplace.exchange.models import CatalogueLine, Listing, Offer
from marketplace.exchange.searching import BadCursor, Place, Search, search
from marketplace.exchange.visibility import standing
from marketplace.kernel.errors import NotFound, shown
from marketplace.legal.models import Opinion
from marketplace.participants.models import Participant
from marketplace.plumbing.db import UtcDateTime
from marketplace.plumbing.questions import Together
from marketplace.registration.models import Certificate

__all__ = [
    "BadCursor",
    "CataloguePage",
    "CatalogueRow",
    "NotInCatalogue",
    "Wanted",
    "page_after",
    "page_before",
    "parts",
    "visible",
    "visible_listing",
]

MAX_PAGE = 100
"""Rows read at once, and"""
LONGEST_PAGE = 10_000
"""rows of a page that is read and written part by part."""
MOST_LOOKED_AT = 2000


class NotInCatalogue(NotFound):
    """No such listing in the catalogue now."""


@dataclass(frozen=True)
class Wanted:
    """What a catalogue is narrowed to.

    text: words and Chinese text, all of which must occur; purpose: ours or a code of `terms.purposes`, e.g. `duo:HMB`;
    asker: only what this participant may ask for, by its kind and by gate H5; None = what anybody sees.
    named: the private offers to this buyer and nothing else; None = what everybody sees.
    """

    text: str = ""
    modality: str | None = None
    body_part: str | None = None
    purpose: str | None = None
    provider: str | None = None
    asker: Participant | None = None
    named: str | None = None


@dataclass(frozen=True)
class CatalogueRow:
    """A visible listing with everything its line shows."""

    listing: Listing
    offer: Offer
    asset: Asset
    version: Version
    provider: Participant
    certificate: Certificate
    opinion: Opinion


@dataclass(frozen=True)
class CataloguePage:
    """Rows by weight of the rarest word, then the latest first; next_cursor: None on the last page."""

    rows: Sequence[CatalogueRow]
    next_cursor: str | None


_PARTS = (Listing, Offer, Asset, Version, Participant, Certificate, Opinion)


def visible(
    db: Session, now: datetime, wanted: Wanted | None = None, *, cursor: str | None = None, limit: int = 20
) -> CataloguePage:
    """A page of what is listed and valid now, in three statements whatever the size of page and catalogue.

    Where more than a third of what the index names is hidden, in two more for each time that twice as much is
    looked at.  Raises BadCursor, UnknownCode.
    """
    wanted = wanted or Wanted()
    found = search(db, wanted, cursor)
    if found is None:
        return CataloguePage((), None)
    size = max(1, min(limit, MAX_PAGE))
    rows: list[tuple[Place, CatalogueRow]] = []
    after = found.after
    look_at = (size + 1) * 3 // 2
    while len(rows) <= size:
        places = found.places(db, after, look_at)
        rows += _standing_at(db, wanted, places, now)
        if len(places) < look_at:
            break
        after, look_at = places[-1], min(look_at * 2, MOST_LOOKED_AT)
    page = [row for _, row in rows[:size]]
    return CataloguePage(page, found.cursor(rows[size - 1][0]) if len(rows) > size else None)


def parts(
    db: Session, now: datetime, wanted: Wanted, *, cursor: str | None = None, limit: int = 20
) -> Iterator[CataloguePage]:
    """The same page of up to LONGEST_PAGE rows in parts of MAX_PAGE, so that it is never held as a whole.

    There is one part at least.  next_cursor: on the last part alone.  Read in one transaction, the parts show one
    state.  Raises BadCursor, UnknownCode at the first part.
    """
    left = max(1, min(limit, LONGEST_PAGE))
    while True:
        size = min(left, MAX_PAGE)
        page = visible(db, now, wanted, cursor=cursor, limit=size)
        left, cursor = left - size, page.next_cursor
        if cursor is None or left == 0:
            yield page
            return
        yield CataloguePage(page.rows, None)


def page_after(db: Session, now: datetime, wanted: Wanted, *, cursor: str | None = None, limit: int = 20) -> str | None:
    """The cursor of the page that comes after the one of a cursor, None where that is the last; reads no row of it.

    Raises BadCursor, UnknownCode.
    """
    found = search(db, wanted, cursor)
    if found is None:
        return None
    left, place = max(1, min(limit, LONGEST_PAGE)), found.after
    last: Place | None = None
    while True:
        places = found.places(db, place, MOST_LOOKED_AT)
        for one in _numbers_at(db, wanted, places, now):
            if left == 0:
                assert last is not None
                return found.cursor(last)
            left, last = left - 1, one
        if len(places) < MOST_LOOKED_AT:
            return None
        place = places[-1]


def page_before(db: Session, now: datetime, wanted: Wanted, *, cursor: str, limit: int = 20) -> str:
    """The cursor of the page that comes before the one of a cursor; empty where that is the first page.

    Raises BadCursor, UnknownCode.
    """
    found = search(db, wanted, cursor)
    if found is None or found.after is None:
        return ""
    size = max(1, min(limit, LONGEST_PAGE))
    rows: list[Place] = []
    place, look_at = found.after, min((size + 1) * 3 // 2, MOST_LOOKED_AT)
    while len(rows) <= size:
        places = found.places_back(db, place, look_at)
        there = _numbers_at(db, wanted, places, now)
        rows += [one for one in there if one not in rows[-1:]]
        if len(places) < look_at:
            break
        place, look_at = places[-1], min(look_at * 2, MOST_LOOKED_AT)
    return found.cursor(rows[size]) if len(rows) > size else ""


def visible_listing(db: Session, listing_id: str, now: datetime, *, reader: str | None = None) -> CatalogueRow:
    """One listing, if it is visible now.  reader: sees the private offers to it too.  Raises NotInCatalogue."""
    named: dict[str, object] = {"listing": listing_id, "now": now}
    named |= {} if reader is None else {"reader": reader}
    found = _one_visible(named=reader is not None).first(db, **named)
    if found is None:
        raise NotInCatalogue(
            "no listing with this id is visible now",
            got=shown(listing_id),
            action="it may be suspended or withdrawn, or its certificate or opinion is not valid now",
        )
    return CatalogueRow(*found)


@cache
def _one_visible(*, named: bool) -> Together:
    """The question of `visible_listing`: to put it together costs more than to answer it."""
    now: Any = sa.bindparam("now", type_=UtcDateTime())
    reader: Any = sa.bindparam("reader") if named else None
    rows = standing(sa.select(*_PARTS), now, reader)
    return Together(_PARTS, rows.where(col(Listing.id) == sa.bindparam("listing")))


def lines(found: Search, now: datetime) -> Any:
    """Numbers of all lines that were found and are visible, in no order."""
    along: Any = sa.select(col(found.along.number).label("number")).select_from(found.along)
    along = along.join(CatalogueLine, col(CatalogueLine.number) == col(found.along.number))
    return standing(along.join(Listing, col(Listing.id) == col(CatalogueLine.listing_id)), now).where(*found.conditions)


def _standing_at(
    db: Session, wanted: Wanted, places: Sequence[Place], now: datetime
) -> list[tuple[Place, CatalogueRow]]:
    """The lines at these places that are visible, in their order.

    Apart from the walk along the index: so no planner has a reason to begin elsewhere than at these few lines.
    """
    rows = _at(sa.select(col(CatalogueLine.number), *_PARTS), wanted, places, now)
    by_number = {number: CatalogueRow(*parts) for number, *parts in db.execute(rows)}
    return [(one, by_number[one.number]) for one in places if one.number in by_number]


def _numbers_at(db: Session, wanted: Wanted, places: Sequence[Place], now: datetime) -> list[Place]:
    """Those of the places that hold a visible line, in their order."""
    there = set(db.scalars(_at(sa.select(col(CatalogueLine.number)), wanted, places, now)))
    return [one for one in places if one.number in there]


def _at(rows: Any, wanted: Wanted, places: Sequence[Place], now: datetime) -> Any:
    rows = rows.join(Listing, col(Listing.id) == col(CatalogueLine.listing_id))
    rows = standing(rows, now, wanted.named).where(col(CatalogueLine.number).in_([one.number for one in places]))
    if wanted.asker is not None and wanted.asker.foreign_controlled:
        rows = rows.where(col(Asset.contains_genomic).is_(False))
    return rows
