"""Those who wait for something over the API: they are woken, or not answered as long as a test lasts."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from marketplace.plumbing import waiting
from tests.house import House
from tests.transfer.doors import PATIENCE_SECONDS, wait_until


def waits_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whoever waits neither look again nor come to the end of its time before a test has lost its patience.

    The clock of those who wait goes back whenever it is read.
    """
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 3600)
    back = count(0, -2 * PATIENCE_SECONDS)
    monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: next(back)))


def listening(house: House) -> int:
    """How many wait."""
    return len(house.runtime.database.bell._parts)


def meanwhile(house: House, asked: Callable[[], Any], act: Callable[[], object]) -> Any:
    """What is answered to somebody who waits while something is done."""
    before = listening(house)
    with ThreadPoolExecutor(1) as others:
        answer = others.submit(asked)
        wait_until(lambda: listening(house) > before or answer.done())
        act()
        return answer.result(PATIENCE_SECONDS)
