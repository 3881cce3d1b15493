"""How one process writes to SQLite: its write transactions queue here, first come, first served.

SQLite lets one writer in and has no queue: who waits asks again and again with growing pauses, so that a busy writer
can starve the others.  Writers of other processes still meet at SQLite's own lock.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar, cast

from sqlalchemy import Connection as AnyConnection
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as WaitedTooLong
from sqlmodel import Session

R = TypeVar("R")
BUSY_SECONDS = 30.0


class Turn:
    """A lock that is handed over in the order of asking; any thread may give it back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held = False
        self._waiting: deque[threading.Lock] = deque()

    def take(self, seconds: float = BUSY_SECONDS) -> None:
        """Wait for the turn.  Raises WaitedTooLong."""
        with self._lock:
            if not self._held:
                self._held = True
                return
            gate = threading.Lock()
            gate.acquire()
            self._waiting.append(gate)
        try:
            came = gate.acquire(timeout=seconds)
        except BaseException:
            self._leave(gate)
            raise
        if not came and self._leave(gate):
            raise WaitedTooLong(f"another write transaction was open for more than {seconds:g} seconds")

    def give_back(self) -> None:
        """Pass the turn to whoever waits longest."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._held = False

    def _leave(self, gate: threading.Lock) -> bool:
        with self._lock:
            if gate in self._waiting:
                self._waiting.remove(gate)
                return True
        # The turn came in the last moment.
        return False


class Connection(sqlite3.Connection):
    """A driver's connection that gives the turn back with the end of its write transaction."""

    turn: Turn | None = None

    def take(self, turn: Turn) -> None:
        """Hold the turn until commit, rollback or close.  Raises WaitedTooLong."""
        turn.take()
        self.turn = turn

    def commit(self) -> None:
        if self.turn is not None:
            self.require_open()
        super().commit()
        self.give_back()

    def require_open(self) -> None:
        """Some errors, that of a full disk for one, end the whole transaction and not the statement or its savepoint.

        What is written from then on is no part of it and is kept at once.  Raises sqlite3.OperationalError.
        """
        if not self.in_transaction:
            raise sqlite3.OperationalError("an error ended the transaction before its commit")

    def rollback(self) -> None:
        try:
            super().rollback()
        finally:
            self.give_back()

    def close(self) -> None:
        try:
            super().close()
        finally:
            self.give_back()

    def give_back(self) -> None:
        """Give the turn back if it is held."""
        turn, self.turn = self.turn, None
        if turn is not None:
            turn.give_back()


def configure(connection: Any, _record: Any) -> None:
    """What every connection is set to.  The driver must not open transactions by itself: `begin` says which kind."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",  # NORMAL loses committed entries on power loss (sqlite.org/pragma.html#pragma_synchronous)
        "foreign_keys=ON",
        f"busy_timeout={BUSY_SECONDS * 1000:.0f}",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def begin_bare(connection: AnyConnection, statement: str) -> None:
    """Begin a transaction past SQLAlchemy.  Raises as `run_bare`."""
    try:
        _driver(connection).execute(statement)
    except sqlite3.Error as error:
        raise _told(connection, statement, error) from error


def run_bare(connection: AnyConnection, statement: str, row: Sequence[object]) -> int:
    """Run a statement without result past SQLAlchemy, at half the cost; how many rows it wrote.

    Who listens to statements before they run hears of it, without cursor and context.
    Raises what SQLAlchemy would: IntegrityError, OperationalError and their kin.
    """
    connection.dispatch.before_cursor_execute(connection, None, statement, row, None, False)
    try:
        return int(_driver(connection).execute(statement, row).rowcount)
    except sqlite3.Error as error:
        raise _told(connection, statement, error) from error


def read_bare(connection: AnyConnection, statement: str, row: Sequence[object]) -> Sequence[Sequence[Any]]:
    """The rows that a statement reads, as the driver gives them, at a quarter of the cost.

    Heard and raises as `run_bare`.
    """
    connection.dispatch.before_cursor_execute(connection, None, statement, row, None, False)
    try:
        return _driver(connection).execute(statement, row).fetchall()
    except sqlite3.Error as error:
        raise _told(connection, statement, error) from error


# What is written at once bears the same moment again and again.
@lru_cache(maxsize=256)
def kept_form(moment: datetime) -> str:
    """The text as which SQLAlchemy keeps a moment: in UTC, with a blank for the T and no zone."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def require_open(db: Session) -> None:
    """Whether the write transaction of a session is there still, after an error in it that is not passed on.

    Raises OperationalError.  PostgreSQL refuses by itself to go on with one that has ended.
    """
    connection = db.connection()
    if connection.dialect.name != "sqlite":
        return
    driver = cast("Connection", connection.connection.driver_connection)
    try:
        driver.require_open()
    except sqlite3.Error as error:
        raise _told(connection, "COMMIT", error) from error


def despite_broken_text(db: Session, check: Callable[[], R]) -> R:
    """Run a check that only reads, once more with replacement characters where SQLite holds text that is none.

    SQLite keeps whatever bytes somebody stored as text, and its driver stops at those that are not UTF-8.
    """
    try:
        return check()
    except OperationalError as error:
        if "decode" not in str(error.orig):
            raise
    driver: Any = db.connection().connection.driver_connection
    driver.text_factory = lambda octets: octets.decode(errors="replace")
    try:
        return check()
    finally:
        driver.text_factory = str


def _driver(connection: AnyConnection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.driver_connection)


def _told(connection: AnyConnection, statement: str, error: sqlite3.Error) -> BaseException:
    return DBAPIError.instance(statement, None, error, sqlite3.Error, hide_parameters=True, dialect=connection.dialect)
