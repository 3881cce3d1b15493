"""Finding lines by the search index: which of its lists is read, in which order, and from where on.

The index holds one list per term: the numbers of the lines that hold it, by weight.  All terms asked for must occur.
The order is the weight of the rarest word asked for, then the latest first.  That word's list lies in this very order,
so a page is read from it without sorting.  Where another term is rare, its short list is read instead and sorted.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from marketplace.exchange.indexing import EVERY, WEIGHTS, audience_of, label
from marketplace.exchange.models import CatalogueTerm
from marketplace.exchange.rules import query_terms
from marketplace.exchange.terms.purposes import read_codes
from marketplace.kernel.canonical import canonical, read_strictly
from marketplace.kernel.errors import Invalid, shown

if TYPE_CHECKING:
    from marketplace.exchange.catalogue import Wanted

MAX_TERMS = 24
# A list of at most this length is short: it may be read as a whole and sorted.
SHORT = 300


_ALONG, _HELD = aliased(CatalogueTerm), aliased(CatalogueTerm)


class BadCursor(Invalid):
    """The cursor was not made by this catalogue."""


class Place(NamedTuple):
    """Where a line stands in the order: what it weighs, and its number."""

    weight: int
    number: int


@dataclass(frozen=True)
class Search:
    """Which list of the index is read.

    along: the list; weight: what a line weighs; ranking: the word that weighs, empty without a search text; after: the
    place that the cursor names, None at the beginning.
    """

    along: Any
    weight: ColumnElement[int]
    ranking: str
    conditions: Sequence[ColumnElement[bool]]
    after: Place | None

    def places(self, db: Session, after: Place | None, limit: int) -> list[Place]:
        """The next places in the order, hidden lines among them: one statement on the index alone."""
        number = col(self.along.number)
        rows = sa.select(self.weight, number).where(*self.conditions)
        if after is not None:
            rows = rows.where(sa.tuple_(self.weight, number) < sa.tuple_(*after))
        rows = rows.order_by(sa.desc(self.weight), sa.desc(number)).limit(limit)
        return [Place(*row) for row in db.execute(rows)]

    def places_back(self, db: Session, place: Place, limit: int) -> list[Place]:
        """A place and those before it, the nearest first, hidden lines among them."""
        number = col(self.along.number)
        rows = sa.select(self.weight, number).where(*self.conditions)
        rows = rows.where(sa.tuple_(self.weight, number) >= sa.tuple_(*place))
        return [Place(*row) for row in db.execute(rows.order_by(self.weight, number).limit(limit))]

    def cursor(self, place: Place) -> str:
        """Where the next page begins: after this place."""
        return base64.urlsafe_b64encode(canonical([self.ranking, *place])).decode().rstrip("=")


def search(db: Session, wanted: Wanted, cursor: str | None) -> Search | None:
    """How the lines that hold everything wanted are found; None where nothing can be found.

    One statement: how long the lists are.  Raises BadCursor, UnknownCode.
    """
    words, labels = query_terms(wanted.text)[:MAX_TERMS], _labels(wanted)
    named = _read(cursor) if cursor is not None else None
    if labels is None or (wanted.text.strip() and not words):
        return None
    lengths = _lengths(db, [*words, *labels])
    ranking = named[0] if named else min(words, key=lambda one: (lengths[one], one), default="")
    if ranking not in (words or [""]):
        raise BadCursor("the cursor belongs to another search", got=shown(ranking), action="start without a cursor")
    rarest = min([*words, *labels], key=lambda one: (lengths[one], one != ranking, one))
    read = rarest if lengths[rarest] < SHORT or not words else ranking
    return _along(read, ranking, words, labels, wanted, named[1] if named else None)


def _along(read: str, ranking: str, words: list[str], labels: list[str], wanted: Wanted, after: Place | None) -> Search:
    number = col(_ALONG.number)
    weight: Any = col(_ALONG.weight) if read == ranking or not words else _weight(ranking, number)
    conditions = [col(_ALONG.term) == read, *(_holds([one], number, WEIGHTS) for one in words if one != read)]
    conditions += [_holds([one], number) for one in labels if one != read]
    if wanted.asker is not None:
        conditions.append(_holds(audience_of(wanted.asker), number))
    return Search(_ALONG, weight, ranking, conditions, after)


def _labels(wanted: Wanted) -> list[str] | None:
    """What is no word: one term per filter.  A listing permits a code when it permits all our purposes that the code
    comes to; a prohibited one, never."""
    asked = {"modality": wanted.modality, "body_part": wanted.body_part, "provider": wanted.provider}
    asked |= {"named": wanted.named}
    labels = [label(kind, value) for kind, value in asked.items() if value is not None]
    if wanted.purpose is not None:
        codes = read_codes([wanted.purpose])
        if codes.denied or not codes.purposes:
            return None
        labels += [label("purpose", one) for one in sorted(codes.purposes)]
    return labels or [EVERY]


def _lengths(db: Session, terms: Sequence[str]) -> dict[str, int]:
    """How many lines hold each term, counted up to SHORT."""
    lists = [select(CatalogueTerm.number).where(CatalogueTerm.term == one).limit(SHORT).subquery() for one in terms]
    counts = [sa.select(sa.func.count()).select_from(one).scalar_subquery() for one in lists]
    return dict(zip(terms, db.execute(sa.select(*counts)).one(), strict=True))


def _holds(terms: Sequence[str], number: Any, weights: Sequence[int] = (0,)) -> ColumnElement[bool]:
    """Whether a line holds one of the terms; as a value, which no planner turns into a join with the whole list."""
    return (
        select(_HELD.number)
        .where(col(_HELD.term).in_(terms), col(_HELD.weight).in_(weights), col(_HELD.number) == number)
        .limit(1)
        .scalar_subquery()
        .is_not(None)
    )


def _weight(term: str, number: Any) -> ColumnElement[int]:
    return (
        select(col(_HELD.weight))
        .where(_HELD.term == term, col(_HELD.weight).in_(WEIGHTS), col(_HELD.number) == number)
        .scalar_subquery()
    )


def _read(cursor: str) -> tuple[str, Place]:
    try:
        ranking, weight, number = read_strictly(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return str(ranking), Place(int(weight), int(number))
    except (ValueError, TypeError, Invalid) as error:
        raise BadCursor("the cursor is not readable", got=shown(cursor), action="start without a cursor") from error
