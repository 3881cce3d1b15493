"""A door on each database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import House, open_house
from tests.plumbing.door import Door, open_door


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
