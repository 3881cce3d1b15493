"""Rings when a transaction of this process has asked for work or moved something that is waited for.

Who waits is woken instead of looking again.  What other processes do rings nowhere here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import event
from sqlalchemy.orm import Session as AnySession

BELL: Final = "bell"
ASKED: Final = "rings_for"
Wanted = Callable[[str], bool]


class Bell:
    """Counts its rings, so that one between looking and waiting is not missed.  rings: how many there were."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._parts: list[tuple[Wanted, Bell]] = []
        self.rings = 0

    def ring(self, topics: Collection[str] = ()) -> None:
        """Wake whoever waits, and of those who wait for some topics alone those whose topic is named."""
        with self._changed:
            self.rings += 1
            self._changed.notify_all()
            woken = [part for wanted, part in self._parts if any(map(wanted, topics))]
        for part in woken:
            part.ring(topics)

    def part(self, wanted: Wanted, made: Bell | None = None) -> Bell:
        """A bell that rings for these topics alone.  made: which one, None for a new one."""
        made = made or Bell()
        with self._changed:
            self._parts = [*self._parts, (wanted, made)]
        return made

    @contextmanager
    def listening(self, topic: str, made: Bell | None = None) -> Iterator[Bell]:
        """The same for one topic, as long as somebody listens."""
        made = self.part(topic.__eq__, made)
        try:
            yield made
        finally:
            with self._changed:
                self._parts = [one for one in self._parts if one[1] is not made]

    def wait(self, heard: int, seconds: float) -> None:
        """Wait for a ring after the first `heard` ones, at most so long."""
        with self._changed:
            self._changed.wait_for(lambda: self.rings != heard, seconds)


def ask(db: AnySession, topic: str) -> None:
    """Have the bell rung once this transaction is committed.  topic: the name of a task, or of what has moved."""
    db.info.setdefault(ASKED, set()).add(topic)


def _ring(db: AnySession) -> None:
    if db.in_nested_transaction():
        return
    topics: set[str] | None = db.info.pop(ASKED, None)
    bell: Bell | None = db.info.get(BELL)
    if topics and bell is not None:
        bell.ring(topics)


event.listen(AnySession, "after_commit", _ring)
