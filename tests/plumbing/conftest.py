"""A door on each database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.house import House, open_house
from tests.plumbing.door import Door, open_door
from tests.servers import initdb_path, postgresql


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    if initdb_path() is None:
        pytest.skip("PostgreSQL is not installed here")
    with postgresql() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """A house on SQLite, and one on PostgreSQL where it is installed."""
    url = ""
    if request.param == "postgresql":
        url = request.getfixturevalue("database_url")
        with psycopg.connect(url) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
    with open_house(tmp_path / "house", url) as opened:
        yield opened


@pytest.fixture
def door(house: House) -> Iterator[Door]:
    with open_door(house) as opened:
        yield opened


@pytest.fixture
def either_door(both: House) -> Iterator[Door]:
    with open_door(both) as opened:
        yield opened
