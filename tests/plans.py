"""How SQLite goes about what a piece of work asks it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, event
from sqlmodel import Session

from marketplace.plumbing.db import Database


def plans(database: Database, work: Callable[[Session], object]) -> list[str]:
    """The plan of each SELECT, a line for each step: `SCAN table`, `SEARCH … USING INDEX …`, `USE TEMP B-TREE …`."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Connection, _cursor: object, statement: str, given: Any, *_rest: object) -> None:
        asked.append((statement, given))

    with database.reading() as db:
        event.listen(database.engine, "before_cursor_execute", note)
        try:
            work(db)
        finally:
            event.remove(database.engine, "before_cursor_execute", note)
        selects = [one for one in asked if one[0].startswith("SELECT")]
        explained = [db.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", given) for sql, given in selects]
        return ["\n".join(row.detail for row in one) for one in explained]
