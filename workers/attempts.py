"""One attempt at an outbox row: the row is taken, its task is run, its end is marked or its error left on it.

Whoever makes it, the row is the truth: a relay of this process, a Celery worker, or the transaction that asks for the
work (`workers.prompt`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlmodel import Session
from structlog import get_logger

from marketplace.kernel.errors import Invalid
from marketplace.plumbing import outbox
from marketplace.plumbing.outbox import Work
from marketplace.plumbing.runtime import Runtime
from workers.keeper import Keeper
from workers.tasks import REGISTRY, Task
from workers.tasks.within import Begin, Plain, Rest, Within

KEEPER = Keeper()


class UnknownTask(Invalid):
    """This release knows no task of that name."""


@dataclass(frozen=True)
class Attempt:
    """One attempt at a row.  number: from 1; leased: for longer than the transaction that took it."""

    row: str
    task: str
    number: int
    leased: bool = False


@dataclass(frozen=True)
class Begun:
    """An attempt whose task goes on after the transaction that took its row.  rest: what remains."""

    attempt: Attempt
    rest: Rest


def run_row(runtime: Runtime, row_id: str, *, again: bool = False, before: datetime | None = None) -> bool:
    """Take one row, run its task, mark it done; False when somebody else holds or has finished it.

    A failing task leaves its error on the row and is tried again later.  again: a worker was lost with this row, as one
    was where a lease ran out, and may have been with every row that was asked for before `before`; then the attempt is
    counted and committed before it begins, so that a task that kills its workers is given up.
    """
    attempt, rest = None, None
    try:
        with runtime.database.transaction() as db:
            work = outbox.begin(db, row_id, runtime.clock.now())
            if work is not None:
                attempt = Attempt(row_id, work.task, work.attempts + 1)
                wary = again or work.lost or (before is not None and work.asked_at < before)
                rest = _begun(db, runtime, work, wary=wary)
    except Exception as error:
        if attempt is None:
            raise
        _note(runtime, attempt, error)
        return True
    if attempt is not None and rest is not None:
        go_on(runtime, Begun(replace(attempt, leased=True), rest))
    return attempt is not None


def begin_row(db: Session, runtime: Runtime, row_id: str) -> tuple[bool, Begun | None]:
    """Take a row in a transaction that does more than that; whether it was to be had, and what goes on afterwards.

    Raises whatever its task raises: then nothing of the row may be committed.
    """
    work = outbox.begin(db, row_id, runtime.clock.now())
    if work is None:
        return False, None
    rest = _begun(db, runtime, work, wary=False)
    if rest is None:
        return True, None
    return True, Begun(Attempt(row_id, work.task, work.attempts + 1, leased=True), rest)


def go_on(runtime: Runtime, begun: Begun) -> None:
    """Do what remains of a task and mark its row done; an error is left on the row, which is tried again later."""
    try:
        _go_on(runtime, begun)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is kept with the row and tried again
        _note(runtime, begun.attempt, error)


def _begun(db: Session, runtime: Runtime, work: Work, *, wary: bool) -> Rest | None:
    """Do what a task does in the transaction that takes its row; what remains, with the row leased for it, or None.

    A task that is done in it needs no lease: if this process dies, nothing of it has happened and the row is due.
    wary: do nothing of it there, so that the attempt is counted though the process dies.
    """
    task = _task(work.task)
    begin = _outside(task) if not isinstance(task, Within) else _counted(work.row, task.begin) if wary else task.begin
    rest = begin(db, runtime, work.args)
    outbox.took(db, work, runtime.clock.now(), outlasts=rest is not None)
    return rest


def _outside(task: Plain) -> Begin:
    """A task that opens transactions of its own, if any: all of it is done with none open here."""

    def begin(_db: Session, runtime: Runtime, args: dict[str, Any]) -> Rest:
        def rest() -> None:
            task(runtime, args)

        return rest

    return begin


def _counted(row_id: str, task: Begin) -> Begin:
    """A short task whose attempt is counted first: it and the end of its row are one transaction all the same."""

    def begin(_db: Session, runtime: Runtime, args: dict[str, Any]) -> Rest:
        def rest() -> Callable[[Session], None] | None:
            with runtime.database.transaction() as db:
                left = task(db, runtime, args)
                if left is None:
                    outbox.finish(db, row_id, runtime.clock.now())
            return None if left is None else left()

        return rest

    return begin


def _go_on(runtime: Runtime, begun: Begun) -> None:
    attempt = begun.attempt

    def renew() -> None:
        with runtime.database.transaction() as db:
            outbox.renew(db, attempt.row, attempt.number, runtime.clock.now())

    with KEEPER.keeping(renew):
        end = begun.rest()
    with runtime.database.transaction() as db:
        if end is not None:
            end(db)
        outbox.finish(db, attempt.row, runtime.clock.now())


def _note(runtime: Runtime, attempt: Attempt, error: Exception) -> None:
    """Leave the error on the row, unless the attempt has lost it."""
    get_logger().warning("task failed", task=attempt.task, row=attempt.row, error=repr(error), exc_info=error)
    with runtime.database.transaction() as db:
        now = runtime.clock.now()
        if attempt.leased or outbox.lease(db, attempt.row, now) is not None:
            db.flush()
            outbox.fail(db, attempt.row, attempt.number, now, f"{type(error).__name__}: {error}")


def _task(name: str) -> Task:
    try:
        return REGISTRY[name]
    except KeyError:
        raise UnknownTask(
            "no task of this name is registered", got=name, action="start the release that asked for it"
        ) from None
