"""Short work is begun in the transaction that asks for it, by a process that can go on with it at once.

A relay takes a row in a transaction of its own, and whoever waits for the work waits for that one too.  What is not
begun here is left to the relay: because no thread is free, somebody holds what it needs, or it fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Final

from sqlalchemy import text
from sqlmodel import Session
from structlog import get_logger

from marketplace.audit.entry import since_begin
from marketplace.plumbing import bell
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.sqlite import require_open
from workers.attempts import Begun, begin_row, go_on
from workers.tasks import REGISTRY
from workers.tasks.within import Within

PLACES: Final = 4
"""Tasks that may be under way here; each waits for another server most of the time."""
# Its verb came first, and whoever holds what it needs may wait for that verb: waiting here could be a deadlock.
_WAIT_FOR_NOBODY: Final = text("SET LOCAL lock_timeout = '1ms'")
_WAIT_AGAIN: Final = text("SET LOCAL lock_timeout TO DEFAULT")


class TooMuch(RuntimeError):
    """A prompt task records something in its beginning: it needs a transaction of its own."""


class Prompt:
    """Begins what the transactions of this process ask for, at their commit, and goes on with it in its own threads."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._places = BoundedSemaphore(PLACES)
        self._threads = ThreadPoolExecutor(PLACES, thread_name_prefix="outbox-prompt")

    def start(self) -> None:
        """From now on, sessions of this process's database begin what they ask for."""
        self._runtime.database.taker = self

    def stop(self, timeout: float = 30) -> None:  # noqa: ARG002 - no task lasts longer than its calls of others
        """Begin nothing more and wait for what is under way."""
        self._runtime.database.taker = None
        self._threads.shutdown()

    @contextmanager
    def taking(self, db: Session) -> Iterator[None]:
        """Around a commit: what is begun before it goes on after it, and has never happened if it fails."""
        begun = list[Begun]()
        try:
            self._begin(db, begun)
            yield
        except BaseException:
            for _ in begun:
                self._places.release()
            raise
        for one in begun:
            self._hand_over(one)

    def _begin(self, db: Session, begun: list[Begun]) -> None:
        """Begin what was asked for, and what that asks for in turn; the bell rings for what is left."""
        left = list[tuple[str, str]]()
        while asked := bell.unask(db, _is_prompt):
            db.flush()  # what is wrong with the verb itself is none of the task's
            for task, row in asked:
                taken, goes_on = self._placed(db, row)
                if not taken:
                    left.append((task, row))
                if goes_on is not None:
                    begun.append(goes_on)
        for task, row in left:
            bell.ask(db, task, row)

    def _placed(self, db: Session, row: str) -> tuple[bool, Begun | None]:
        """As `_try`, where a place is free; what goes on keeps it."""
        if not self._places.acquire(blocking=False):
            return False, None
        goes_on = None
        try:
            taken, goes_on = self._try(db, row)
        finally:
            if goes_on is None:
                self._places.release()
        return taken, goes_on

    def _try(self, db: Session, row: str) -> tuple[bool, Begun | None]:
        """As `begin_row`, whole or not at all; what fails is tried again by the relay, which keeps its error.

        Raises OperationalError where that error has ended the verb's transaction too.
        """
        try:
            with db.begin_nested():
                return self._begun(db, row)
        except Exception as error:  # noqa: BLE001 - the verb that asks must not fail with what it asks for
            get_logger().info("left to the relay", row=row, error=repr(error))
            require_open(db)
            return False, None

    def _begun(self, db: Session, row: str) -> tuple[bool, Begun | None]:
        """Raises TooMuch, and what the task raises."""
        waits, recorded = db.get_bind().dialect.name == "postgresql", since_begin(db, "entries")
        if waits:
            db.connection().execute(_WAIT_FOR_NOBODY)
        found = begin_row(db, self._runtime, row)
        if waits:
            db.connection().execute(_WAIT_AGAIN)
        if since_begin(db, "entries") != recorded:
            raise TooMuch("a receipt of the verb promises its entries before its commit")
        return found

    def _hand_over(self, begun: Begun) -> None:
        def finish() -> None:
            try:
                go_on(self._runtime, begun)
            except Exception as error:  # noqa: BLE001 - the verb is committed, and nobody asks this thread
                get_logger().error("its row stays leased", row=begun.attempt.row, exc_info=error)
            finally:
                self._places.release()

        try:
            self._threads.submit(finish)
        except RuntimeError:  # it was stopped between the two
            finish()


def _is_prompt(name: str) -> bool:
    task = REGISTRY.get(name)
    return isinstance(task, Within) and task.prompt
