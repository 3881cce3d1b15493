"""From outbox row to finished task; the row is the truth, whoever runs it.

Embedded, threads of the server run the rows themselves; in production the scheduler sends each due row's id through
Celery as a wake-up and sends it again while nobody has finished it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

from structlog import get_logger

from marketplace.kernel.errors import Invalid
from marketplace.plumbing import outbox
from marketplace.plumbing.bell import Bell
from marketplace.plumbing.runtime import Runtime
from workers.tasks import LONG, REGISTRY, TO_OTHERS, Task

BATCH = 64
# What this process asks for rings; only what falls due later, or is asked for by another process, is looked for.
IDLE_SECONDS = 0.25
AT_ONCE = 2
"""Transfers that one server pushes at once."""
RESEND = timedelta(seconds=5)
# A loop whose step fails waits twice as long each time, up to this.
SLOWEST_SECONDS = 5.0


class UnknownTask(Invalid):
    """This release knows no task of that name."""


def run_row(runtime: Runtime, row_id: str) -> bool:
    """Take one row, run its task, mark it done; False when somebody else holds or has finished it.

    A failing task leaves its error on the row and is tried again later.
    """
    with runtime.database.transaction() as db:
        row = outbox.lease(db, row_id, runtime.clock.now())
        if row is not None:
            name, args, attempt = row.task, dict(row.args), row.attempts
    if row is None:
        return False
    try:
        with _kept(runtime, row_id, attempt):
            _task(name)(runtime, args)
    except Exception as error:  # noqa: BLE001 - the row keeps the error, the relay must go on
        get_logger().warning("task failed", task=name, row=row_id, error=repr(error), exc_info=error)
        with runtime.database.transaction() as db:
            outbox.fail(db, row_id, attempt, runtime.clock.now(), f"{type(error).__name__}: {error}")
        return True
    with runtime.database.transaction() as db:
        outbox.finish(db, row_id, runtime.clock.now())
    return True


def _task(name: str) -> Task:
    try:
        return REGISTRY[name]
    except KeyError:
        raise UnknownTask(
            "no task of this name is registered", got=name, action="start the release that asked for it"
        ) from None


@contextmanager
def _kept(runtime: Runtime, row_id: str, attempt: int) -> Iterator[None]:
    """Renew the lease while the task runs, so that a long task is not started a second time beside itself."""

    def renew() -> None:
        with runtime.database.transaction() as db:
            outbox.renew(db, row_id, attempt, runtime.clock.now())

    keeper = Loop("lease", renew, outbox.LEASE.total_seconds() / 3, wait_first=True).start()
    try:
        yield
    finally:
        keeper.stop()


def run_due(runtime: Runtime, limit: int = BATCH, only: Collection[str] = (), but: Collection[str] = ()) -> int:
    """Run the rows that are due, oldest first; returns how many were taken.  only, but: as in `due_rows`."""
    with runtime.database.reading() as db:
        ids = outbox.due_rows(db, runtime.clock.now(), limit=limit, only=only, but=but)
    return sum(run_row(runtime, row_id) for row_id in ids)


def release_leases(runtime: Runtime) -> None:
    """Free the rows a dead process held; only for the embedded form, where no other worker can be alive."""
    with runtime.database.transaction() as db:
        outbox.release(db)


class Loop:
    """A daemon thread that calls a step again and again; an error is logged and the loop goes on, more slowly.

    step: true means that there is more to do at once; pause_seconds: after any other answer, or until the bell rings.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], object],
        pause_seconds: float,
        *,
        wait_first: bool = False,
        bell: Bell | None = None,
    ) -> None:
        self._step = step
        self._pause = pause_seconds
        self._bell = bell or Bell()
        self._wait_first = wait_first
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> Loop:
        self._thread.start()
        return self

    def stop(self, timeout: float = 30) -> None:
        """Ask the loop to end and wait for the step that is running."""
        self._stop.set()
        self._bell.ring()
        self._thread.join(timeout)

    def _run(self) -> None:
        pause = self._pause
        if self._wait_first:
            self._stop.wait(pause)
        while not self._stop.is_set():
            heard = self._bell.rings
            try:
                if not self._step() and not self._stop.is_set():
                    self._bell.wait(heard, self._pause)
                pause = self._pause
            except Exception as error:  # noqa: BLE001 - one bad round must not end the loop
                get_logger().error("loop step failed", loop=self._thread.name, exc_info=error)
                pause = max(self._pause, min(pause * 2, SLOWEST_SECONDS))
                self._stop.wait(pause)


def embedded_relays(runtime: Runtime) -> list[Loop]:
    """The threads that run outbox rows inside the server process.

    What waits for other people's servers has a thread of its own and holds up nothing else.
    """
    release_leases(runtime)
    # One row a step, so that a thread can be stopped between two rows.
    ours, theirs = partial(run_due, runtime, 1, but=TO_OTHERS), partial(run_due, runtime, 1, only=TO_OTHERS - LONG)
    steps = {"outbox-relay": ours, "outbox-push": theirs}
    steps |= {f"outbox-data-{number}": partial(run_due, runtime, 1, only=LONG) for number in range(AT_ONCE)}
    bell = runtime.database.bell
    return [Loop(name, step, IDLE_SECONDS, bell=bell) for name, step in steps.items()]


class Dispatcher:
    """Sends due rows to a broker; remembers what it sent so that a slow worker is not flooded.

    only, but: as in `due_rows`.
    """

    def __init__(
        self, runtime: Runtime, send: Callable[[str], object], only: Collection[str] = (), but: Collection[str] = ()
    ) -> None:
        self._runtime = runtime
        self._send = send
        self._due = partial(outbox.due_rows, limit=BATCH, only=only, but=but)
        self._sent: dict[str, float] = {}

    def step(self) -> int:
        """Send each due row that was not sent lately; returns how many were sent."""
        with self._runtime.database.reading() as db:
            due = self._due(db, self._runtime.clock.now())
        moment = time.monotonic()
        self._sent = {row: at for row, at in self._sent.items() if moment - at < RESEND.total_seconds()}
        fresh = [row for row in due if row not in self._sent]
        for row in fresh:
            self._send(row)
            self._sent[row] = moment
        return len(fresh)
