"""Statements that run for every message: made once, and on SQLite run past what SQLAlchemy does for each.

Only for reading columns and for tables whose changes need no entry: the guard of the log does not see these.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import Connection, Dialect
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

R = TypeVar("R")
_Change = Callable[[Any], Any] | None


class _Bare(NamedTuple):
    """The text of a statement, its parameters (name, value where none is given, what changes it), and its columns."""

    text: str
    parameters: tuple[tuple[str, Any, _Change], ...]
    columns: tuple[_Change, ...]


class Prepared(Generic[R]):
    """A statement with its parameters bound by name, none of them a list.

    make: of a row, from its columns in order; names: the columns of an INSERT that has none of its own.
    """

    def __init__(self, statement: Any, make: Callable[..., R], names: Sequence[str] | None = None) -> None:
        self._statement, self._make, self._names = statement, make, names
        self._bare: _Bare | None = None

    def rows(self, db: Session, **values: Any) -> list[R]:
        """What it selects.  What the session has pending is written first, as before any query."""
        db.flush()
        connection = db.connection()
        if connection.dialect.name != "sqlite":
            return [self._make(*row) for row in connection.execute(self._statement, values)]
        bare = self._of(connection.dialect)
        found = _run(connection, bare, values).fetchall()
        return [self._make(*map(_read, row, bare.columns)) for row in found]

    def first(self, db: Session, **values: Any) -> R | None:
        """The first row of what it selects."""
        found = self.rows(db, **values)
        return found[0] if found else None

    def run(self, db: Session, **values: Any) -> int:
        """Run it for its effect; how many rows it wrote, -1 where PostgreSQL does not say."""
        connection = db.connection()
        if connection.dialect.name != "sqlite":
            return connection.execute(self._statement, values).rowcount
        return int(_run(connection, self._of(connection.dialect), values).rowcount)

    def _of(self, dialect: Dialect) -> _Bare:
        if self._bare is None:
            made = self._statement.compile(dialect=dialect, column_keys=self._names)
            types = ((name, made.params[name], made.binds[name].type) for name in made.positiontup)
            parameters = [
                (name, value, kind.dialect_impl(dialect).bind_processor(dialect)) for name, value, kind in types
            ]
            read = getattr(self._statement, "selected_columns", ())
            columns = [one.type.dialect_impl(dialect).result_processor(dialect, None) for one in read]
            self._bare = _Bare(str(made), tuple(parameters), tuple(columns))
        return self._bare


def _run(connection: Connection, bare: _Bare, values: dict[str, Any]) -> sqlite3.Cursor:
    """Raises what SQLAlchemy would: IntegrityError, OperationalError and their kin."""
    driver: Any = connection.connection.driver_connection
    sent = [_read(values.get(name, value), change) for name, value, change in bare.parameters]
    try:
        found: sqlite3.Cursor = driver.execute(bare.text, sent)
    except sqlite3.Error as error:
        raise DBAPIError.instance(
            bare.text, None, error, sqlite3.Error, hide_parameters=True, dialect=connection.dialect
        ) from error
    return found


def _read(value: Any, change: _Change) -> Any:
    return value if change is None else change(value)
