"""Telling running streams that they were stopped, even while they wait for a slow reader (threat T22).

A stream checks its epoch before every window, but a window may take minutes to leave.  One thread of the process
looks for bumps while streams run, and tells each stream that rests on a stopped subject.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session
from structlog import get_logger

from marketplace.plumbing import epochs
from marketplace.plumbing.runtime import Runtime
from marketplace.transfer import rules
from marketplace.usage import queries

BLIND_SECONDS: Final = 2.0
"""Who cannot see stops for this long sends nothing more."""

RETRY_SECONDS: Final = 0.1


@dataclass(frozen=True)
class Ground:
    """What a running use rests on: its subjects, the sum of their epochs, the Unix second at which it lapses.

    subjects: the agreement's own id is the first.
    """

    subjects: tuple[str, ...]
    epoch: int
    stops_at: int


@dataclass
class _Watched:
    """A running stream.  seen: the count of bumps when it was compared the last time."""

    ground: Ground
    stop: Callable[[str], None]
    loop: asyncio.AbstractEventLoop
    seen: int = -1
    running: bool = True


class Watch:
    """The running streams of an application."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._streams: dict[int, _Watched] = {}
        self._lock = threading.Lock()
        self._looking = False

    @staticmethod
    def of(app: Any) -> Watch:
        """The one watch of an application."""
        kept: Watch | None = getattr(app.state, "watch", None)
        if kept is None:
            kept = app.state.watch = Watch(app.state.runtime)
        return kept

    @contextmanager
    def over(self, ground: Ground, stop: Callable[[str], None]) -> Iterator[None]:
        """While the block runs, `stop` is called with a reason once the ground is gone, in the thread of the loop."""
        watched = _Watched(ground, stop, asyncio.get_running_loop())
        with self._lock:
            self._streams[id(watched)] = watched
            if not self._looking:
                self._looking = True
                threading.Thread(target=self._look_on, name="stop-watch", daemon=True).start()
        try:
            yield
        finally:
            watched.running = False
            with self._lock:
                self._streams.pop(id(watched), None)

    def _look_on(self) -> None:
        """Look again and again until no stream is left."""
        seen_at = time.monotonic()
        while self._any():
            try:
                # One connection for all the time: in a busy pool there may be none when it is needed.
                with self._runtime.database.engine.connect() as connection:
                    reading = connection.execution_options(marketplace_write=False)
                    while self._any():
                        with Session(reading) as db:
                            self._look(db)
                        seen_at = time.monotonic()
                        time.sleep(self._runtime.settings.stop_watch_ms / 1000)
                    return
            except SQLAlchemyError as error:
                get_logger().warning("running streams cannot be watched", error=type(error).__name__)
                if time.monotonic() - seen_at > BLIND_SECONDS:
                    _tell(self._all(), rules.UNWATCHED)
                time.sleep(RETRY_SECONDS)

    def _any(self) -> bool:
        with self._lock:
            self._looking = bool(self._streams)
            return self._looking

    def _all(self) -> list[_Watched]:
        with self._lock:
            return list(self._streams.values())

    def _look(self, db: Session) -> None:
        """Stop what is stopped.  A stream is compared when anything was bumped since it was compared the last time."""
        change, now = epochs.changes(db), self._runtime.clock.now()
        streams = self._all()
        lapsed: dict[Ground, list[_Watched]] = {}
        for one in streams:
            if now.timestamp() >= one.ground.stops_at:
                lapsed.setdefault(one.ground, []).append(one)
        fresh = [one for one in streams if one.seen != change]
        numbers = queries.epochs(db, {subject for one in fresh for subject in one.ground.subjects})
        stops: dict[Ground, list[_Watched]] = {}
        for one in fresh:
            one.seen = change
            if sum(numbers.get(subject, 0) for subject in one.ground.subjects) != one.ground.epoch:
                stops.setdefault(one.ground, []).append(one)
        for ground, stopped in stops.items():
            _tell(stopped, queries.stop_reason(db, ground.subjects))
        for ground, ended in lapsed.items():
            _tell(ended, queries.lapse_reason(db, ground.subjects[0], ground.stops_at, now))


def _tell(streams: list[_Watched], reason: str) -> None:
    """Stop streams all at once: settling the first of them must not hold up cutting the last."""
    for loop in {one.loop for one in streams}:
        of_loop = [one for one in streams if one.loop is loop]
        with suppress(RuntimeError):  # the loop has ended, and with it the streams
            loop.call_soon_threadsafe(_stop, of_loop, reason)


def _stop(streams: list[_Watched], reason: str) -> None:
    for one in streams:
        if one.running:
            one.stop(reason)
