"""Questions to the database that are put together once and asked for every call, past what SQLAlchemy does for each.

To put a statement together costs more than to run it, and so does what a session does around it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar

from sqlmodel import Session

from marketplace.plumbing.bare import Bare
from marketplace.plumbing.keeping import forget
from marketplace.plumbing.loading import loader

R = TypeVar("R")


class Question(Generic[R]):
    """A SELECT of columns, with bound parameters for what differs from call to call.

    make: of a row, from the values of its columns in order (`alone`, where there is one column).
    Each parameter stands for one value: a question with lists that differ is asked by `db.rows_of`.
    """

    def __init__(self, statement: Any, make: Callable[..., R]) -> None:
        self._statement, self._make, self._bare = statement, make, Bare(statement)
        self.waits = statement._for_update_arg is not None

    def rows(self, db: Session, **values: Any) -> list[R]:
        """All rows.  values: of the bound parameters.  What the session has pending is written first, as for any query.

        A question that locks rows has the session read anew whatever it asks for from then on.
        """
        db._autoflush()
        connection = db.connection()
        found: Sequence[Sequence[Any]]
        if connection.dialect.name == "sqlite":
            found = self._bare.rows(connection, values)
        else:
            found = connection.execute(self._statement, values).all()
        if self.waits:
            forget(db)
        return [self._make(*one) for one in found]

    def first(self, db: Session, **values: Any) -> R | None:
        """The first row, None where there is none; whoever asks for one of many limits the statement to it."""
        found = self.rows(db, **values)
        return found[0] if found else None


class Together:
    """A question for rows of several tables at once, joined, each of which comes as the session's object."""

    def __init__(self, models: Sequence[type[Any]], statement: Any) -> None:
        self._models = models
        self._question = Question(statement, _whole)

    def first(self, db: Session, **values: Any) -> tuple[Any, ...] | None:
        """The objects of the first row in the order of their tables, None where there is none."""
        found = self._question.first(db, **values)
        if found is None:
            return None
        left = iter(found)
        parts = ((of, list(islice(left, of.width))) for of in map(loader, self._models))
        return tuple(of.take(db, part) for of, part in parts)


class Objects(Generic[R]):
    """A question for whole rows of one table, which come as the session's objects.

    One that locks rows overwrites what the session has of them: whoever waited wants what came meanwhile.
    """

    def __init__(self, model: type[R], statement: Any) -> None:
        self._model = model
        self._question = Question(statement, _whole)

    def all(self, db: Session, **values: Any) -> list[R]:
        """The objects that it finds, asked as `Question.rows`."""
        of, question = loader(self._model), self._question
        return [of.take(db, row, anew=question.waits) for row in question.rows(db, **values)]

    def first(self, db: Session, **values: Any) -> R | None:
        """The first of them, asked as `Question.first`."""
        found = self.all(db, **values)
        return found[0] if found else None


def alone(value: Any) -> Any:
    """What a question for one column makes of a row: its value."""
    return value


def _whole(*values: Any) -> tuple[Any, ...]:
    return values
