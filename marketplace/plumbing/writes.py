"""Writes that run for every message: put together once, and run past what a session does around a statement.

Neither the guard of the log nor a seal sees them, so they are for tables whose changes need no entry
(`audit/evidence.py`: WITHOUT_ENTRY) and whose rows bear no seal; an architecture test holds every one to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlmodel import Session

from marketplace.plumbing.bare import Bare


class Write:
    """An INSERT, UPDATE or DELETE with bound parameters, each of them one value.  table: its name.

    names: the columns of an INSERT that has none of its own.
    """

    def __init__(self, statement: Any, names: Sequence[str] | None = None) -> None:
        self.table: str = statement.table.name
        self._statement, self._bare = statement, Bare(statement, names)

    def run(self, db: Session, **values: Any) -> int:
        """Write; how many rows, -1 where PostgreSQL does not say.  What the session has pending is written first.

        An object that the session has of such a row stays as it is: who goes on with it reads it anew.
        """
        db._autoflush()
        connection = db.connection()
        if connection.dialect.name == "sqlite":
            return self._bare.run(connection, values)
        return connection.execute(self._statement, values).rowcount
