"""Several callers' units of work in one durable commit of SQLite, each unit whole or absent.

A commit waits for the disk, so one commit for each unit would be slow.  Whoever comes while nobody works becomes the
leader: it begins a transaction, runs its own unit and every unit that waits, each under a savepoint, commits once and
wakes their callers.  Units that come during the commit wait, and the first of them leads the next group.  There is
no thread that could die and nothing to wait for when only one caller is there.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from sqlalchemy import Engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlmodel import Session

from marketplace.plumbing.sqlite import Turn
from marketplace.plumbing.units import Unit, Units, begin_unit, driver_of

R = TypeVar("R")

MOST_UNITS = 128
"""Units of one group, and"""
MOST_SECONDS = 0.02
"""how long a group takes units in, so that other writers get their turn."""


class UnitInUnit(RuntimeError):
    """A unit asked for another unit, which could only wait for itself."""


class GroupCommit:
    """The shared commits of one SQLite database.

    engine: makes a SavepointConnection and keeps none; turn: this process's turn to write; session_class: of units.
    commits, units: how many there were, for telemetry.
    """

    def __init__(self, engine: Engine, turn: Turn, session_class: type[Session] = Session) -> None:
        self._engine, self._turn, self._class = engine, turn, session_class
        event.listen(engine, "begin", begin_unit)
        self._left_behind: list[Connection | None] = []
        self.commits = self.units = 0
        self._renew()

    def run(self, work: Callable[[Session], R]) -> R:
        """Run work in a group; returns, or raises work's own exception, once that is durable.

        The work runs in the leader's thread with the caller's context variables; its session is another unit's
        afterwards, so what it wants of `db.info` it must return.  Raises DBAPIError or
        WaitedTooLong when the group's transaction cannot begin or commit: then nothing of it holds.
        """
        if os.getpid() != self._process:
            # A connection must not be used, not even closed, by a child of the process that opened it.
            self._left_behind.append(self._connection)
            self._renew()
        if self._leader == threading.get_ident():
            raise UnitInUnit("a unit of a shared commit must not ask for another one")
        unit = Unit(work)
        if not self._is_first(unit):
            self._wait(unit)
        if unit.leads:
            self._lead()
        return unit.result()

    def close(self) -> None:
        """Close the connection, after the present group if there is one; a later unit opens a new one."""
        with self._lock:
            if self._led:
                self._close_soon = True
            else:
                self._disconnect()

    _led: bool
    _close_soon: bool

    def _renew(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._waiting: deque[Unit[Any]] = deque()
        self._led = self._close_soon = False
        self._leader: int | None = None
        self._connection: Connection | None = None

    def _is_first(self, unit: Unit[Any]) -> bool:
        with self._lock:
            self._waiting.append(unit)
            if self._led:
                return False
            self._led = unit.leads = True
            return True

    def _wait(self, unit: Unit[Any]) -> None:
        try:
            unit.wait()
        except BaseException:
            # Interrupted: what already runs can no longer be taken back, like any commit that is under way.
            with self._lock:
                if unit in self._waiting:
                    self._waiting.remove(unit)
            if unit.leads:
                self._hand_over()
            raise

    def _lead(self) -> None:
        """Run a group; the leader's own unit stands first in the queue."""
        group: list[Unit[Any]] = []
        patient = len(self._waiting)
        self._leader = threading.get_ident()
        try:
            self._run_group(group)
        except BaseException as error:
            # A transaction that could not begin fails those who waited for it, not those who came later.
            group = group or self._take(patient)
            _fail(group, error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._leader = None
            self._hand_over()
            for unit in group[1:]:
                unit.wake()

    def _run_group(self, group: list[Unit[Any]]) -> None:
        self._turn.take()
        try:
            connection = self._connected()
            driver = driver_of(connection)
            driver.execute("BEGIN IMMEDIATE")
            units, until = Units(connection, driver, self._class), time.monotonic() + MOST_SECONDS
            while unit := self._next(group, until):
                group.append(unit)
                units.attempt(unit)
            units.close()
            driver.execute("COMMIT")
        except BaseException:
            self._disconnect()
            raise
        finally:
            self._turn.give_back()
        for unit in group:
            unit.durable = True
        self.commits += 1
        self.units += len(group)

    def _next(self, group: list[Unit[Any]], until: float) -> Unit[Any] | None:
        if len(group) >= MOST_UNITS or (group and time.monotonic() > until):
            return None
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def _take(self, count: int) -> list[Unit[Any]]:
        with self._lock:
            return [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]

    def _hand_over(self) -> None:
        with self._lock:
            if self._close_soon:
                self._close_soon = False
                self._disconnect()
            if self._waiting:
                self._waiting[0].leads = True
                self._waiting[0].wake()
            else:
                self._led = False

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _disconnect(self) -> None:
        # Closing also rolls back whatever is open.
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error, SQLAlchemyError):
                connection.close()


def _fail(group: list[Unit[Any]], error: BaseException) -> None:
    """Give the error of a group to each of its units; a unit that failed by itself keeps its own."""
    if not isinstance(error, Exception):
        error = sqlite3.OperationalError("the process was interrupted")
    if isinstance(error, sqlite3.Error):
        error = DBAPIError.instance("shared COMMIT", None, error, sqlite3.Error, hide_parameters=True)
    for unit in group:
        unit.error = unit.error or error
