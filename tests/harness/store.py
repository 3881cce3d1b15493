"""Reading a marketplace's database with plain SQL, on SQLite and PostgreSQL, at one consistent moment."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeAlias

import psycopg

Row: TypeAlias = dict[str, Any]


class Store:
    """One read transaction over the whole database."""

    def __init__(self, connection: Any, *, sqlite: bool) -> None:
        self._connection, self._sqlite = connection, sqlite

    def rows(self, sql: str) -> list[Row]:
        """All rows of a query as dictionaries."""
        cursor = self._connection.execute(sql)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def values(self, sql: str) -> list[Any]:
        """The first column of a query."""
        return [next(iter(row.values())) for row in self.rows(sql)]


@contextmanager
def opened(url: str) -> Iterator[Store]:
    """A store by its SQLAlchemy-style address: `sqlite:///path` or `postgresql://…`."""
    if url.startswith("sqlite:///"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30, isolation_level=None)
        try:
            connection.execute("PRAGMA query_only=ON")
            connection.execute("BEGIN")
            yield Store(connection, sqlite=True)
        finally:
            connection.close()
        return
    with _reachable(url.replace("+psycopg", "")) as server:
        server.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield Store(server, sqlite=False)


def _reachable(url: str, seconds: float = 60) -> psycopg.Connection[Any]:
    """A connection, as soon as the server is there again and has recovered."""
    limit = time.monotonic() + seconds
    while True:
        try:
            return psycopg.connect(url)
        except psycopg.OperationalError:
            if time.monotonic() > limit:
                raise
            time.sleep(0.1)


def parsed(value: Any) -> Any:
    """A JSON column: text on SQLite, a value on PostgreSQL."""
    return json.loads(value) if isinstance(value, str) else value


def moment(value: Any) -> datetime | None:
    """A timestamp column in UTC."""
    if value is None:
        return None
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
