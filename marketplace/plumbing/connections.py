"""Connections that stay open from one message to the next: those of a negotiation reach their connector by one.

A kept connection leads to addresses that were checked when it was made.  Another request may go over it only to the
same origin under the same permission, which `outgoing` judges anew each time, and only while it is young: a name that
moves is resolved and checked again.  Nothing of one answer is left to the next request.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import httpcore2

from marketplace.plumbing.addresses import Address
from marketplace.plumbing.wires import Network, Stream, dialled

IDLE_SECONDS: Final = 1.5
"""Messages of an exchange that runs by itself come within it, and web servers keep a silent connection for longer
(gunicorn 2, uvicorn and Node 5): we let go first, so that hardly a message meets a connection that is being closed."""
AGE_SECONDS: Final = 60.0
"""For how long a name may still lead to where it led: what resolvers grant names that move often."""
OF_ONE_PLACE: Final = 4
OF_ALL: Final = 32


class Place(NamedTuple):
    """Where a connection leads, and by which right: the parts of an `outgoing.Target` that are not of one request."""

    scheme: str
    host: str
    port: int
    named: bool


class Kept(httpcore2.HTTP11Connection):
    """One connection, of one thread at a time.  until: when it is no longer waited for a further request."""

    def __init__(self, place: Place, stream: Stream, checked_at: float) -> None:
        super().__init__(httpcore2.Origin(place.scheme.encode("ascii"), place.host.encode("ascii"), place.port), stream)
        self.place, self._stream = place, stream
        self.until = self._too_old_at = checked_at + AGE_SECONDS

    def wait(self) -> None:
        """Begin to wait for a further request."""
        self.until = min(time.monotonic() + IDLE_SECONDS, self._too_old_at)

    def goes_on(self) -> bool:
        """Whether a further request may follow: the answer before came whole, and the other side said no more.

        An end of the connection counts as said.
        """
        # The library's own pool takes bytes that came behind an answer for the answer to the next request.
        behind, _ended = self._h11_state.trailing_data
        return self.is_idle() and not behind and self._stream.is_silent()

    def renew(self, end: float) -> None:
        """Let every operation of the next request end at this moment."""
        self._stream.end = end


class Connections:
    """What one process keeps open to others.  Any thread may call; a forked child begins with none.

    network: through which all are made.  Nobody watches those that wait: they are few, and one that waited too long is
    closed when the next message comes or goes.
    """

    def __init__(self, network: Network | None = None) -> None:
        self.network = network or Network()
        self._lock, self._open = threading.Lock(), True
        self._waiting: list[Kept] = []  # the last is the one that was used last
        leave = weakref.WeakMethod(self._leave_to_the_parent)
        os.register_at_fork(after_in_child=lambda: (found := leave()) and found())

    def _leave_to_the_parent(self) -> None:
        copies, self._waiting, self._lock = self._waiting, [], threading.Lock()
        _close(copies)

    @contextmanager
    def lent(self, place: Place, addresses: Callable[[], Iterable[Address]], end: float) -> Iterator[Kept]:
        """A connection for one request that ends at a moment; afterwards it waits for the next one, or is closed.

        addresses: the checked ones, asked for where a new connection is needed.  Raises OSError, and what they raise.
        """
        kept = self._taken(place, end) or self._made(place, addresses, end)
        try:
            yield kept
        finally:
            self._give_back(kept)

    def close(self) -> None:
        """Close those that wait now, and each of the others after its request."""
        with self._lock:
            self._open, closing = False, self._waiting
            self._waiting = []
        _close(closing)

    def _taken(self, place: Place, end: float) -> Kept | None:
        while (kept := self._next(place)) is not None:
            if kept.goes_on():
                kept.renew(end)
                return kept
            kept.close()
        return None

    def _next(self, place: Place) -> Kept | None:
        with self._lock:
            late = self._late()
            found = next((one for one in reversed(self._waiting) if one.place == place), None)
            if found is not None:
                self._waiting.remove(found)
        _close(late)
        return found

    def _made(self, place: Place, addresses: Callable[[], Iterable[Address]], end: float) -> Kept:
        checked_at = time.monotonic()
        stream = Stream(dialled(addresses(), place.port, self.network, end), end)
        if place.scheme == "https":
            try:
                stream = stream.start_tls(self.network.trust(), place.host)
            except BaseException:
                stream.close()
                raise
        return Kept(place, stream, checked_at)

    def _give_back(self, kept: Kept) -> None:
        kept.wait()
        goes_on = kept.goes_on()
        with self._lock:
            if goes_on and self._open:
                self._waiting.append(kept)
                closing = self._late() + self._surplus(kept.place)
            else:
                closing = [kept]
        _close(closing)

    def _late(self) -> list[Kept]:
        """Take out those that waited too long or are too old.  The lock is held."""
        now = time.monotonic()
        return self._without([one for one in self._waiting if one.until <= now])

    def _surplus(self, place: Place) -> list[Kept]:
        """Take out those that are too many, the longest unused first.  The lock is held."""
        same = [one for one in self._waiting if one.place == place]
        return self._without(same[:-OF_ONE_PLACE]) + self._without(self._waiting[:-OF_ALL])

    def _without(self, these: list[Kept]) -> list[Kept]:
        self._waiting = [one for one in self._waiting if one not in these]
        return these


def _close(these: Iterable[Kept]) -> None:
    """Outside the lock: to close takes its time."""
    for one in these:
        one.close()
