"""Questions to the database that are put together once and asked for every call, past what SQLAlchemy does for each.

To put a statement together costs more than to run it, and so does what a session does around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import islice
from typing import Any, Generic, TypeVar

from sqlmodel import Session

from marketplace.plumbing.keeping import forget
from marketplace.plumbing.loading import SQLITE, loader, processed
from marketplace.plumbing.sqlite import read_bare

R = TypeVar("R")


class Question:
    """A SELECT, with bound parameters for what differs from call to call; rows come as their columns' values.

    Each parameter stands for one value: of a list that differs, nothing can be put together beforehand.
    """

    def __init__(self, statement: Any) -> None:
        self._statement = statement
        self._waits = statement._for_update_arg is not None

    def rows(self, db: Session, **values: Any) -> Sequence[Sequence[Any]]:
        """All rows.  values: of the bound parameters.  What the session has pending is written first, as for any query.

        A question that locks rows has the session read anew whatever it asks for from then on.
        """
        if db.autoflush:
            db.flush()
        connection = db.connection()
        if connection.dialect.name == "sqlite":
            text, names, writers, given = self._bare
            said = given | values
            row = processed([said[name] for name in names], writers)
            found: Sequence[Sequence[Any]] = [processed(one, self._readers) for one in read_bare(connection, text, row)]
        else:
            found = connection.execute(self._statement, values).all()
        if self._waits:
            forget(db)
        return found

    def column(self, db: Session, **values: Any) -> list[Any]:
        """The first value of every row, asked as `rows`."""
        return [one[0] for one in self.rows(db, **values)]

    @cached_property
    def _bare(self) -> tuple[str, Sequence[str], Sequence[Any], dict[str, Any]]:
        """The statement in SQLite's words, its parameters in order, how each is written, and those it has itself."""
        made = self._statement.compile(dialect=SQLITE)
        asked = {name: "" for name, one in made.binds.items() if one.required}
        # Its own lists are written out, with a parameter for each of their values.
        told = made.construct_expanded_state(asked)
        lists = {part: name for name, parts in told.parameter_expansion.items() for part in parts}
        types = [made.binds[lists.get(name, name)].type.dialect_impl(SQLITE) for name in told.positiontup]
        writers = [one.bind_processor(SQLITE) for one in types]
        own = {name: one for name, one in told.parameters.items() if name not in asked}
        return told.statement, told.positiontup, writers, own

    @cached_property
    def _readers(self) -> Sequence[Any]:
        types = [one.type.dialect_impl(SQLITE) for one in self._statement.selected_columns]
        return [one.result_processor(SQLITE, None) for one in types]


class Together:
    """A question for rows of several tables at once, joined, each of which comes as the session's object."""

    def __init__(self, models: Sequence[type[Any]], statement: Any) -> None:
        self._models = models
        self._question = Question(statement)

    def first(self, db: Session, **values: Any) -> tuple[Any, ...] | None:
        """The objects of the first row in the order of their tables, None where there is none."""
        found = self._question.rows(db, **values)
        if not found:
            return None
        left = iter(found[0])
        parts = ((of, list(islice(left, of.width))) for of in map(loader, self._models))
        return tuple(of.take(db, part) for of, part in parts)


class Objects(Generic[R]):
    """A question for whole rows of one table, which come as the session's objects."""

    def __init__(self, model: type[R], statement: Any) -> None:
        self._model = model
        self._question = Question(statement)

    def all(self, db: Session, **values: Any) -> list[R]:
        """The objects that it finds, asked as `Question.rows`."""
        of = loader(self._model)
        return [of.take(db, row) for row in self._question.rows(db, **values)]

    def first(self, db: Session, **values: Any) -> R | None:
        """The first of them, None where there is none; whoever asks for one limits the statement to it."""
        found = self.all(db, **values)
        return found[0] if found else None
