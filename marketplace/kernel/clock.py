"""Time comes from one injected clock, in UTC."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Protocol

# Days and months of Chinese tariffs and books begin at midnight there, without daylight saving time since 1991.
CHINA = timezone(timedelta(hours=8))


class Clock(Protocol):
    """Tells the time; a verb never asks the operating system itself."""

    def now(self) -> datetime:
        """The present moment, timezone-aware, UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class StoryClock:
    """A clock that stands still until it is moved; it never runs backwards.

    Used by seeds, demo and tests: a story starts in the past and is told forward.
    """

    def __init__(self, start: datetime) -> None:
        self._now = require_utc(start)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> datetime:
        """Move forward by a duration and return the new moment."""
        with self._lock:
            if by < timedelta(0):
                raise ValueError(f"a story clock only moves forward; got {by}")
            self._now += by
            return self._now

    def advance_to(self, moment: datetime) -> datetime:
        """Move forward to a moment; a moment that has passed leaves the clock where it is."""
        with self._lock:
            self._now = max(self._now, require_utc(moment))
            return self._now


class RunningStoryClock(StoryClock):
    """A story clock that also runs while the story is told, so that waiting and retrying work as in life."""

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self._moved_at = time.monotonic()

    def now(self) -> datetime:
        return self._now + timedelta(seconds=time.monotonic() - self._moved_at)

    def advance(self, by: timedelta) -> datetime:
        return self.advance_to(self.now() + by)

    def advance_to(self, moment: datetime) -> datetime:
        with self._lock:
            self._now, self._moved_at = max(self.now(), require_utc(moment)), time.monotonic()
            return self._now


def require_utc(moment: datetime) -> datetime:
    """Return the moment in UTC.  Raises ValueError for a naive one."""
    if moment.tzinfo is UTC:
        return moment
    if moment.tzinfo is None:
        raise ValueError(f"expected a timezone-aware moment, got the naive {moment.isoformat()}")
    return moment.astimezone(UTC)


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds and `Z`, the only form that enters signed documents."""
    return require_utc(moment).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def parse_timestamp(text: str) -> datetime:
    """The inverse of `timestamp`; accepts any RFC 3339 text with an offset."""
    return require_utc(datetime.fromisoformat(text))
