"""A unit of work: a savepoint inside a transaction that several units share, so that it is whole or absent."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, Generic, TypeVar, cast

from sqlalchemy.engine import Connection
from sqlmodel import Session

R = TypeVar("R")


class SavepointConnection(sqlite3.Connection):
    """A driver's connection on which commit and rollback end one unit, a savepoint inside the group's transaction."""

    _open = False

    def begin_unit(self) -> None:
        """Open the savepoint unless it is open."""
        if not self._open:
            self.execute("SAVEPOINT unit")
            self._open = True

    def commit(self) -> None:
        if self._open:
            self._open = False
            self.execute("RELEASE unit")

    def rollback(self) -> None:
        is_open, self._open = self._open, False
        # Some errors (disk full, a trigger that says so) end the whole transaction; then no savepoint is left.
        if is_open and self.in_transaction:
            self.execute("ROLLBACK TO unit")
            self.execute("RELEASE unit")


class Unit(Generic[R]):
    """One caller's work and what became of it.  leads: its caller is the leader of the next group."""

    def __init__(self, work: Callable[[Session], R]) -> None:
        self._work = work
        self._context = copy_context()
        self._result: R | None = None
        self.error: BaseException | None = None
        self.durable = self.leads = False
        self._woken = threading.Lock()
        self._woken.acquire()

    def wait(self) -> None:
        self._woken.acquire()

    def wake(self) -> None:
        self._woken.release()

    def attempt(self, db: Session) -> bool:
        """Do the work and flush it; false when it raised, which is kept for the caller."""
        try:
            self._result = self._context.run(self._work, db)
            db.dispatch.before_commit(db)
            db.flush()
        except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
            self.error = error
        return self.error is None

    def result(self) -> R:
        if self.error is not None:
            raise self.error
        assert self.durable
        return cast("R", self._result)


class Units:
    """The session of a group.

    A unit that succeeds leaves it empty for the next one, which costs a tenth of a new session; one that raises takes
    it with it.  What listens to the commits of sessions hears the end of each unit.
    """

    def __init__(self, connection: Connection, driver: SavepointConnection, session_class: type[Session]) -> None:
        self._connection, self._driver, self._class = connection, driver, session_class
        self._db: Session | None = None

    def attempt(self, unit: Unit[Any]) -> None:
        """Run one unit, whole or not at all.  Raises sqlite3.Error when the group's transaction has ended."""
        if self._db is None:
            self._db = self._class(self._connection, expire_on_commit=False)
        self._driver.begin_unit()
        if unit.attempt(self._db):
            self._keep(self._db)
        else:
            self.close()
        if not self._driver.in_transaction:
            raise sqlite3.OperationalError("an error in one unit ended the transaction of the group")

    def close(self) -> None:
        """End the session, and with it the unit that is open."""
        db, self._db = self._db, None
        if db is not None:
            db.close()
        self._driver.rollback()

    def _keep(self, db: Session) -> None:
        self._driver.commit()
        db.dispatch.after_commit(db)
        db.expunge_all()
        db.info.clear()


def driver_of(connection: Connection) -> SavepointConnection:
    """The driver's connection under SQLAlchemy's."""
    return cast("SavepointConnection", connection.connection.driver_connection)


def begin_unit(connection: Connection) -> None:
    """What SQLAlchemy calls to begin a transaction: also when a unit rolled its session back by itself and goes on."""
    driver_of(connection).begin_unit()
