"""A statement that is put together once and run on SQLite past what SQLAlchemy does for each call.

To put a statement together costs more than to run it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.exc import StatementError
from sqlalchemy.sql.compiler import SQLCompiler

from marketplace.plumbing.sqlite import read_bare, run_bare

SQLITE: Final = sqlite_dialect.dialect()
_Change = Callable[[Any], Any] | None


class _Made(NamedTuple):
    """What SQLite is told: the text, its parameters in order with how each is written, and those it has itself."""

    text: str
    names: Sequence[str]
    writers: Sequence[_Change]
    own: Mapping[str, Any]


class Bare:
    """A statement in SQLite's words, for any number of threads.  Each parameter stands for one value.

    names: the columns of an INSERT that has none of its own.
    """

    def __init__(self, statement: Any, names: Sequence[str] | None = None) -> None:
        self._statement, self._names = statement, names

    def rows(self, connection: Connection, values: Mapping[str, Any]) -> list[list[Any]]:
        """What it reads, as SQLAlchemy would give it.  Raises what SQLAlchemy would."""
        found = read_bare(connection, self._made.text, self._row(values))
        return [_processed(one, self._readers) for one in found]

    def run(self, connection: Connection, values: Mapping[str, Any]) -> int:
        """Run it for its effect; how many rows it wrote.  Raises as `rows`."""
        return run_bare(connection, self._made.text, self._row(values))

    def _row(self, values: Mapping[str, Any]) -> list[Any]:
        made = self._made
        try:
            said = [values[name] if name in values else made.own[name] for name in made.names]
            return _processed(said, made.writers)
        except Exception as error:
            told = f"({type(error).__name__}) {error}"
            raise StatementError(told, made.text, None, error, hide_parameters=True) from error

    @cached_property
    def _made(self) -> _Made:
        made: SQLCompiler = self._statement.compile(dialect=SQLITE, column_keys=self._names)
        if any(one.required and one.expanding for one in made.binds.values()):
            raise ValueError(f"a parameter stands for a list, whose length the statement must know: {made}")
        asked = {name: "" for name, one in made.binds.items() if one.required}
        # Its own lists are written out, with a parameter for each of their values.
        told = made.construct_expanded_state(asked)
        lists = {part: name for name, parts in told.parameter_expansion.items() for part in parts}
        types = [made.binds[lists.get(name, name)].type.dialect_impl(SQLITE) for name in told.positiontup or ()]
        own = {name: one for name, one in told.parameters.items() if name not in asked}
        return _Made(told.statement, told.positiontup or (), [one.bind_processor(SQLITE) for one in types], own)

    @cached_property
    def _readers(self) -> Sequence[_Change]:
        types = [one.type.dialect_impl(SQLITE) for one in self._statement.selected_columns]
        return [one.result_processor(SQLITE, None) for one in types]


def _processed(values: Sequence[Any], by: Sequence[_Change]) -> list[Any]:
    """Values between Python's form and the driver's."""
    return [change(one) if change else one for one, change in zip(values, by, strict=True)]
