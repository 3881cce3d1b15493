"""From outbox row to finished task; the row is the truth, whoever runs it.

Embedded, threads of the server run the rows themselves; in production the scheduler sends each due row's id through
Celery as a wake-up and sends it again while nobody has finished it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from datetime import timedelta
from functools import partial
from typing import Protocol

from structlog import get_logger

from marketplace.plumbing import outbox
from marketplace.plumbing.bell import Bell
from marketplace.plumbing.runtime import Runtime
from workers.attempts import run_row
from workers.prompt import Prompt
from workers.tasks import LONG, REGISTRY, TO_OTHERS

BATCH = 64
# What this process asks for rings; only what falls due later, or is asked for by another process, is looked for.
IDLE_SECONDS = 0.25
AT_ONCE = 2
"""Transfers that one server pushes at once."""
RESEND = timedelta(seconds=5)
# A loop whose step fails waits twice as long each time, up to this.
SLOWEST_SECONDS = 5.0


def run_due(runtime: Runtime, limit: int = BATCH, only: Collection[str] = (), but: Collection[str] = ()) -> int:
    """Run the rows that are due, oldest first; returns how many were taken.  only, but: as in `due_rows`."""
    with runtime.database.reading() as db:
        ids = outbox.due_rows(db, runtime.clock.now(), limit=limit, only=only, but=but)
    return sum(run_row(runtime, row_id) for row_id in ids)


def release_leases(runtime: Runtime, *, lost: bool) -> None:
    """Free the rows a process held; only for the embedded form, where no other worker can be alive.

    lost: the process ended without a word, and the row that it took last is taken for the reason.
    """
    with runtime.database.transaction() as db:
        if lost:
            outbox.blame(db, runtime.clock.now())
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
        bell: Bell | None = None,
    ) -> None:
        self._step = step
        self._pause = pause_seconds
        self._bell = bell or Bell()
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
        while not self._stop.is_set():
            heard = self._bell.rings
            try:
                # What a step has still to do it has seen after these rings; later ones wake the loop again.
                while self._step() and not self._stop.is_set():
                    pass
                if not self._stop.is_set():
                    self._bell.wait(heard, self._pause)
                pause = self._pause
            except Exception as error:  # noqa: BLE001 - one bad round must not end the loop
                get_logger().error("loop step failed", loop=self._thread.name, exc_info=error)
                pause = max(self._pause, min(pause * 2, SLOWEST_SECONDS))
                self._stop.wait(pause)


class Driven(Protocol):
    """What works beside the server, from its start to its stop."""

    def start(self) -> object: ...

    def stop(self, timeout: float = 30) -> None:
        """Take nothing more and wait for what is under way."""
        ...


class Relay:
    """Runs the rows of some tasks, one a step, so that it can be stopped between two; several loops may share it.

    bell: names the rows that this process asks for, so that only others are looked for; only, but: as in `due_rows`.
    """

    def __init__(self, runtime: Runtime, bell: Bell, only: Collection[str] = (), but: Collection[str] = ()) -> None:
        self._runtime, self._bell = runtime, bell
        self._due = partial(outbox.due_rows, limit=BATCH, only=only, but=but)
        self._lock = threading.Lock()
        self._known: dict[str, None] = {}
        self._look, self._look_at = True, 0.0
        # What was asked for before may be what ended the process before this one, in the middle of a transaction.
        self._began = runtime.clock.now()

    def step(self) -> bool:
        """Run the row known for longest, after a look where none is or it is time; whether there is more to do."""
        with self._lock:
            self._hear()  # before the look, which comes in time however much is heard
            if time.monotonic() >= self._look_at or (self._look and not self._known):
                self._look_for_more()
            row = next(iter(self._known), None)
            self._known.pop(row or "", None)
            more = self._look or bool(self._known)
        if row is not None:
            run_row(self._runtime, row, before=self._began)
        return more

    def _hear(self) -> None:
        rows, others = self._bell.asked()
        self._known |= dict.fromkeys(rows)
        self._look = self._look or others

    def _look_for_more(self) -> None:
        with self._runtime.database.reading() as db:
            found = self._due(db, self._runtime.clock.now())
        self._known |= dict.fromkeys(found)
        self._look, self._look_at = len(found) == BATCH, time.monotonic() + IDLE_SECONDS


def embedded_relays(runtime: Runtime) -> list[Driven]:
    """The threads that run outbox rows inside the server process.

    What waits for other people's servers has a thread of its own and holds up nothing else.
    """
    release_leases(runtime, lost=True)
    bell, quick = runtime.database.bell, TO_OTHERS - LONG
    # What moves rings beside the tasks, e.g. for a long poll, and is none of the relay's business.
    own = bell.part(lambda topic: topic in REGISTRY and topic not in TO_OTHERS)
    push, data = bell.part(quick.__contains__), bell.part(LONG.__contains__)
    long = Relay(runtime, data, only=LONG)
    kinds = {
        "outbox-relay": (Relay(runtime, own, but=TO_OTHERS), own),
        "outbox-push": (Relay(runtime, push, only=quick), push),
    } | {f"outbox-data-{number}": (long, data) for number in range(AT_ONCE)}
    loops = [Loop(name, one.step, IDLE_SECONDS, bell=part) for name, (one, part) in kinds.items()]
    return [*loops, Prompt(runtime)]


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
