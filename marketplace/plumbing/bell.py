"""Rings when a transaction of this process has asked for work or moved something that is waited for.

Who waits is woken instead of looking again, and told of the rows that were asked for.  What other processes do rings
nowhere here.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from sqlalchemy import event
from sqlalchemy.orm import Session as AnySession

BELL: Final = "bell"
ASKED: Final = "rings_for"
_ROWS: Final = "rings_for_rows"
_MOST_ROWS: Final = 1024
_NONE: Final[Mapping[str, Collection[str]]] = {}
Wanted = Callable[[str], bool]


class Bell:
    """Counts its rings, so that one between looking and waiting is not missed.  rings: how many there were."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._parts: list[tuple[Wanted, Bell]] = []
        self._rows: deque[str] = deque(maxlen=_MOST_ROWS)
        self._others = False
        self.rings = 0

    def ring(self, topics: Collection[str] = (), rows: Mapping[str, Collection[str]] = _NONE) -> None:
        """Wake whoever waits, and of those who wait for some topics alone those whose topic is named.

        rows: by topic, the ids of all that is asked for under it, where they are known.
        """
        with self._changed:
            self.rings += 1
            self._changed.notify_all()
            woken = [(part, mine) for wanted, part in self._parts if (mine := [one for one in topics if wanted(one)])]
        for part, mine in woken:
            part._ring_for(mine, rows)

    def asked(self) -> tuple[list[str], bool]:
        """Ids of the rows that it rang for since it was asked last, in order, and whether it rang for others beside.

        They are a hint: of very many the latest are kept.
        """
        with self._changed:
            found = list(self._rows), self._others
            self._rows.clear()
            self._others = False
        return found

    def _ring_for(self, topics: Collection[str], rows: Mapping[str, Collection[str]]) -> None:
        with self._changed:
            for topic in topics:
                self._rows.extend(rows.get(topic, ()))
                self._others = self._others or topic not in rows
        self.ring(topics, rows)

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


def ask(db: AnySession, topic: str, row: str | None = None) -> None:
    """Have the bell rung once this transaction is committed.

    topic: the name of a task, or of what has moved; row: the id of what is asked for, of every one under this topic.
    """
    db.info.setdefault(ASKED, set()).add(topic)
    if row is not None:
        db.info.setdefault(_ROWS, {}).setdefault(topic, []).append(row)


def has_asked(db: AnySession) -> bool:
    """Whether this transaction has asked for anything by its id."""
    return bool(db.info.get(_ROWS))


def unask(db: AnySession, wanted: Wanted) -> list[tuple[str, str]]:
    """Take back what this transaction has asked for by its id under some topics; topic and id of each."""
    rows: dict[str, list[str]] = db.info.get(_ROWS, {})
    topics = [one for one in rows if wanted(one)]
    db.info.get(ASKED, set()).difference_update(topics)
    return [(topic, row) for topic in topics for row in rows.pop(topic)]


def _ring(db: AnySession) -> None:
    if db.in_nested_transaction():
        return
    topics: set[str] | None = db.info.pop(ASKED, None)
    rows: dict[str, list[str]] = db.info.pop(_ROWS, {})
    bell: Bell | None = db.info.get(BELL)
    if topics and bell is not None:
        bell.ring(topics, rows)


event.listen(AnySession, "after_commit", _ring)
