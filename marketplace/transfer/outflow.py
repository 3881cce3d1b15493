"""An opened transfer on its way to an address that we call: the windows of a leg, watched between two pieces.

An answer is watched by the thread of `watch`; here the thread that sends looks up itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from sqlalchemy.exc import SQLAlchemyError

from marketplace.kernel.actor import Actor
from marketplace.kernel.errors import Unavailable
from marketplace.plumbing import epochs
from marketplace.plumbing.runtime import Runtime
from marketplace.transfer import rules
from marketplace.transfer.opening import Opened
from marketplace.transfer.stream import WindowSource
from marketplace.transfer.watch import BLIND_SECONDS
from marketplace.usage import queries


class OutflowStopped(Unavailable):
    """The use was stopped before its last byte."""


class Outflow:
    """The bytes of one leg, window by window, each logged before it leaves.

    opened: the leg; sent: bytes handed out so far; seconds: after which no further byte leaves, and the leg is broken.
    """

    def __init__(self, runtime: Runtime, actor: Actor, opened: Opened, *, seconds: float) -> None:
        self._runtime = runtime
        self._source = WindowSource(runtime, actor, opened)
        self.opened = opened
        self.sent = 0
        self._size, self._began = 0, 0.0
        self._stopped, self._seen = False, -1
        self._looked = self._sighted = time.monotonic()
        self._end = self._looked + seconds

    @property
    def left(self) -> int:
        """Bytes that were not handed out yet."""
        return self.opened.span.length - self.sent

    @property
    def outcome(self) -> str:
        """How the leg ends as things stand."""
        return self._source.outcome

    def part(self, length: int) -> Iterator[bytes]:
        """The next `length` bytes.  Raises OutflowStopped."""
        while length:
            elapsed = time.monotonic() - self._began
            self._size = min(rules.window(self._source.largest, 0, self._size, elapsed), length)
            window = self._source.next(self._size) if self.goes_on() else None
            if window is None:
                self._stopped = True
                raise OutflowStopped("the use was stopped", got=self.outcome)
            self._began, length = time.monotonic(), length - len(window)
            self.sent += len(window)
            yield window

    def goes_on(self) -> bool:
        """Whether a byte may still leave: looked up anew every `stop_watch_ms`."""
        now = time.monotonic()
        self._stopped = self._stopped or now >= self._end
        if not self._stopped and now - self._looked >= self._runtime.settings.stop_watch_ms / 1000:
            self._looked = now
            try:
                self._look()
                self._sighted = now
            except SQLAlchemyError:
                if now - self._sighted > BLIND_SECONDS:
                    self._stop(rules.UNWATCHED)
        return not self._stopped

    def acknowledged(self) -> bool:
        """The other side has all of the leg: it ends complete, unless it was stopped before."""
        return self._source.next() is None and self.outcome == rules.COMPLETE

    def close(self) -> None:
        """Settle the leg; asking again changes nothing."""
        self._source.close()

    def _look(self) -> None:
        ground = self.opened.ground
        with self._runtime.database.reading() as db:
            change, now = epochs.changes(db), self._runtime.clock.now()
            if now.timestamp() >= ground.stops_at:
                self._stop(queries.lapse_reason(db, ground.subjects[0], ground.stops_at, now))
            elif change != self._seen and epochs.total(db, ground.subjects) != ground.epoch:
                self._stop(queries.stop_reason(db, ground.subjects))
            self._seen = change

    def _stop(self, reason: str) -> None:
        self._stopped = True
        self._source.stop(reason)
