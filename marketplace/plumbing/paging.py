"""Lists that are read page by page.

The cursor of a page is the key of the last row before it, so that what is put into the list meanwhile makes no row come
twice and none stay out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Annotated, Any, Final, Generic, TypeVar, cast

from fastapi import Query
from sqlalchemy import ColumnElement, Integer, false, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Mapped
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.errors import Invalid, shown

MOST: Final = 100
_BETWEEN: Final = ":"
"""Stands in no part of a key but the last."""
_LONGEST_NUMBER: Final = 9

Cursor = Annotated[str | None, Query(max_length=200, description="`next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=500, description="Of how many rows a page is at most.")]
Row = TypeVar("Row")


class NotOnThisList(Invalid):
    """The cursor was not made by this list."""


@dataclass(frozen=True)
class Paged(Generic[Row]):
    """Rows in order; next: cursor of the following page, None on the last one."""

    rows: Sequence[Row]
    next: str | None


@dataclass(frozen=True)
class Order:
    """How a list is ordered.

    place: columns that end in those of the key, none of them NULL, none that ever changes: whatever lies between the
    old and the new place of a cursor's row would stay out; key: the primary key, or what names a row of a statement
    that is no table.
    """

    place: Sequence[Mapped[Any]]
    key: Sequence[Mapped[Any]]
    latest_first: bool = False

    def page(
        self,
        db: Session,
        rows: SelectOfScalar[Row],
        cursor: str | None,
        limit: int,
        only: Sequence[ColumnElement[bool]] = (),
    ) -> Paged[Row]:
        """The rows of a list behind a cursor, None for its beginning.

        only: further conditions, which the row of the cursor need not meet any more.  Raises NotOnThisList.
        """
        return self.page_of_parts(db, (rows,), cursor, limit, only)

    def page_of_parts(
        self,
        db: Session,
        parts: Sequence[SelectOfScalar[Row]],
        cursor: str | None,
        limit: int,
        only: Sequence[ColumnElement[bool]] = (),
    ) -> Paged[Row]:
        """The same of a list in parts that have no row in common, each of them read by an index of its own.

        With `OR` between them, or all in one statement, PostgreSQL reads and sorts the whole list for a page of it.
        Texts of the place must be in one order here and in any collation of the database, as ids are.
        """
        behind = () if cursor is None else (self._is_behind(self._last(db, parts, cursor)),)
        order = [one.desc() for one in self.place] if self.latest_first else self.place
        asked = (one.where(*only, *behind).order_by(*order).limit(limit + 1) for one in parts)
        in_order = merge(*(db.exec(one).all() for one in asked), key=self._place_of, reverse=self.latest_first)
        found = list(islice(in_order, limit + 1))
        return Paged(found[:limit], self._cursor(found[limit - 1]) if len(found) > limit else None)

    def _place_of(self, row: object) -> tuple[Any, ...]:
        return tuple(getattr(row, _name(one)) for one in self.place)

    def _is_behind(self, last: object) -> ColumnElement[bool]:
        here = tuple_(*self.place)
        columns = zip(self._place_of(last), self.place, strict=True)
        there = tuple_(*(literal(value, _column(one).type) for value, one in columns))
        return here < there if self.latest_first else here > there

    def _cursor(self, row: object) -> str:
        return _BETWEEN.join(str(getattr(row, _name(one))) for one in self.key)

    def _last(self, db: Session, parts: Sequence[SelectOfScalar[Row]], cursor: str) -> Row:
        values = cursor.split(_BETWEEN, len(self.key) - 1)
        named = [_equals(column, value) for column, value in zip(self.key, values, strict=False)]
        for one in parts if len(values) == len(self.key) else ():
            last = db.exec(one.where(*named)).first()
            if last is not None:
                return last
        raise NotOnThisList("the cursor was not made by this list", got=shown(cursor), action="start without one")


@dataclass(frozen=True)
class PartyList(Generic[Row]):
    """A list of a table with an `id`, of which a party reads the rows that it is a side of, and an overseer all.

    at: the moment in whose order a party reads; sides: columns that name a party, each with an index of (side, moment,
    id); overseers: roles that read all, in order of the ids, which sort by time (`kernel.ids`).
    """

    table: type[Row]
    at: Mapped[datetime]
    sides: Sequence[Mapped[str]]
    latest_first: bool = False
    overseers: frozenset[Role] = frozenset({Role.AUDITOR})

    def page(
        self, db: Session, actor: Actor, cursor: str | None, limit: int, only: Sequence[ColumnElement[bool]] = ()
    ) -> Paged[Row]:
        """A page of what the caller is either side of, or oversees; `only` as of an Order.  Raises NotOnThisList."""
        if self.overseers & actor.roles:
            # With an index of their moments PostgreSQL would read a party's page by that too, past all others' rows.
            return self._order().page(db, select(self.table), cursor, limit, only)
        return self._order(self.at).page_of_parts(db, self._parts(actor.participant), cursor, limit, only)

    def page_as(self, db: Session, actor: Actor, side: Mapped[str], cursor: str | None, limit: int) -> Paged[Row]:
        """A page of what the caller is this side of, whatever it oversees.  Raises NotOnThisList."""
        rows = select(self.table).where(side == actor.participant)
        return self._order(self.at).page(db, rows, cursor, limit)

    def _order(self, *moment: Mapped[Any]) -> Order:
        key = col(cast("Any", self.table).id)
        return Order((*moment, key), (key,), self.latest_first)

    def _parts(self, party: str) -> list[SelectOfScalar[Row]]:
        """The rows of a party, each under the first of the sides that it is."""
        rows = [select(self.table).where(side == party) for side in self.sides]
        return [one.where(*(before != party for before in self.sides[:place])) for place, one in enumerate(rows)]


def _equals(column: Mapped[Any], part: str) -> ColumnElement[bool]:
    """Whether a column of the key, of texts or of whole numbers, has a value that a cursor holds."""
    if not isinstance(_column(column).type, Integer):
        return _column(column) == part
    number = part.isascii() and part.isdecimal() and len(part) <= _LONGEST_NUMBER
    return _column(column) == int(part) if number else false()


def _column(one: Mapped[Any]) -> InstrumentedAttribute[Any]:
    return cast("InstrumentedAttribute[Any]", one)


def _name(one: Mapped[Any]) -> str:
    return str(_column(one).key)
