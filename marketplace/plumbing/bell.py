"""Rings when a transaction of this process has asked for work: who waits for work is woken instead of looking again."""

from __future__ import annotations

import threading
from typing import Final

from sqlalchemy import event
from sqlalchemy.orm import Session as AnySession

BELL: Final = "bell"
ASKED: Final = "work_asked_for"


class Bell:
    """Counts its rings, so that one between looking and waiting is not missed.  rings: how many there were."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.rings = 0

    def ring(self) -> None:
        """Wake whoever waits."""
        with self._changed:
            self.rings += 1
            self._changed.notify_all()

    def wait(self, heard: int, seconds: float) -> None:
        """Wait for a ring after the first `heard` ones, at most so long; work of other processes rings nowhere here."""
        with self._changed:
            self._changed.wait_for(lambda: self.rings != heard, seconds)


def ask(db: AnySession) -> None:
    """Have the bell rung once this transaction is committed."""
    db.info[ASKED] = True


def _ring(db: AnySession) -> None:
    if db.in_nested_transaction() or not db.info.pop(ASKED, False):
        return
    bell: Bell | None = db.info.get(BELL)
    if bell is not None:
        bell.ring()


event.listen(AnySession, "after_commit", _ring)
