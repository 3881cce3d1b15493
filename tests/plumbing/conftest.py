"""A door on each database, and a sender with a clock that stands."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from marketplace.plumbing import connections
from marketplace.settings import Settings
from tests.house import House, open_house
from tests.plumbing.door import Door, open_door
from tests.plumbing.sender import Sender


@pytest.fixture
def both(either_url: str, tmp_path: Path) -> Iterator[House]:
    """A house on SQLite, and one on PostgreSQL where it is installed."""
    with open_house(tmp_path / "house", either_url) as opened:
        yield opened


@pytest.fixture
def door(house: House) -> Iterator[Door]:
    with open_door(house) as opened:
        yield opened


@pytest.fixture
def either_door(both: House) -> Iterator[Door]:
    with open_door(both) as opened:
        yield opened


@pytest.fixture
def sender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sender]:
    """Its connections wait for a further message as long as a test lasts, however busy the machine is."""
    monkeypatch.setattr(connections, "IDLE_SECONDS", connections.AGE_SECONDS)
    opened = Sender(Settings(data_folder=tmp_path))
    yield opened
    opened.connections.close()


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands: its number is the time."""
    standing = [6000.0]
    monkeypatch.setattr(time, "monotonic", lambda: standing[0])
    return standing
