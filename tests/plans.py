"""How a database goes about what a piece of work asks it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, event
from sqlmodel import Session

from marketplace.plumbing.db import Database

_EXPLAIN = {"sqlite": "EXPLAIN QUERY PLAN", "postgresql": "EXPLAIN (COSTS OFF)"}
_INDEX = re.compile(r"USING (?:COVERING )?INDEX (\w+)|Index (?:Only )?Scan (?:Backward )?using (\w+)")
_SORTS = re.compile(r"USE TEMP B-TREE|\bSort\b")
_BEHIND = re.compile(r"[<>]\(?\?|Index Cond: .* [<>] ")
_WHOLE = re.compile(r"^SCAN \w+$|Seq Scan|Bitmap", re.MULTILINE)


def plans(database: Database, work: Callable[[Session], object]) -> list[str]:
    """The plan of each SELECT, a line for each step, as the database says it.

    SQLite: `SCAN table`, `SEARCH … USING INDEX …`, `USE TEMP B-TREE …`.
    """
    asked: list[tuple[str, Any]] = []

    def note(_connection: Connection, _cursor: object, statement: str, given: Any, *_rest: object) -> None:
        asked.append((statement, tuple(given) if isinstance(given, list) else given))

    explain = _EXPLAIN[database.engine.dialect.name]
    with database.reading() as db:
        event.listen(database.engine, "before_cursor_execute", note)
        try:
            work(db)
        finally:
            event.remove(database.engine, "before_cursor_execute", note)
        selects = [one for one in asked if one[0].startswith("SELECT")]
        explained = [db.connection().exec_driver_sql(f"{explain} {sql}", given) for sql, given in selects]
        return ["\n".join(row[-1] for row in one) for one in explained]


def walks(database: Database, work: Callable[[Session], object]) -> list[str]:
    """The index by which each SELECT reads rows in its order, ` behind` where it begins at one of them.

    The whole plan of one that sorts them, or reads all rows.
    """
    return [_walk(plan) for plan in plans(database, work)]


def _walk(plan: str) -> str:
    indexes = ["".join(one) for one in _INDEX.findall(plan)]
    if len(indexes) != 1 or _SORTS.search(plan) or _WHOLE.search(plan):
        return plan
    return f"{indexes[0]} behind" if _BEHIND.search(plan) else indexes[0]
