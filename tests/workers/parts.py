"""Asking for tasks that a test registers, running them, and reading their rows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlmodel import select

from marketplace.plumbing import outbox
from marketplace.plumbing.outbox import OutboxRow
from tests.house import House
from workers.relay import Driven
from workers.tasks import REGISTRY


@contextmanager
def task(name: str, function: Any) -> Iterator[None]:
    """Register a task for the length of a block, as a release that knows it would."""
    known = dict(REGISTRY)
    REGISTRY[name] = function
    try:
        yield
    finally:
        REGISTRY.clear()
        REGISTRY.update(known)


@contextmanager
def running(loops: Sequence[Driven]) -> Iterator[None]:
    for loop in loops:
        loop.start()
    try:
        yield
    finally:
        for loop in loops:
            loop.stop()


def ask(house: House, name: str, *keys: str) -> list[str]:
    """Ask for a task once per key; returns the ids of all rows of that task."""
    with house.db() as db:
        for key in keys:
            outbox.enqueue(db, name, {"key": key}, key=key, now=house.clock.now())
    return [one.id for one in rows(house) if one.task == name]


def rows(house: House) -> list[OutboxRow]:
    with house.runtime.database.reading() as db:
        return list(db.exec(select(OutboxRow).order_by(OutboxRow.due_at, OutboxRow.id)))


def wait_until(ready: Any) -> None:
    """Until it is so, for which a busy machine has a while."""
    limit = time.monotonic() + 120
    while not ready():
        assert time.monotonic() < limit
        time.sleep(0.01)
