"""Fixtures that every domain's tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.house import House, open_house
from tests.servers import emptied, initdb_path, postgresql

# What a terminal or a build server says of itself cuts lines and colours words, and settings of an operator's are no
# test's.  Here, because typer reads it when it is imported.
TERMINAL = {"COLUMNS", "FORCE_COLOR", "GITHUB_ACTIONS", "LINES", "NO_COLOR", "PY_COLORS", "TERMINAL_WIDTH"}
TERMINAL |= {"TTY_COMPATIBLE", "TTY_INTERACTIVE"}
for name in [one for one in os.environ if one in TERMINAL or one.startswith("MARKETPLACE_")]:
    del os.environ[name]
os.environ["COLUMNS"] = "80"

# How long an example takes says how busy the machine is.  The examples are the same in every run, so that no change is
# refused for what another one brought in; `--hypothesis-profile=searching` draws new ones.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.register_profile("searching", settings.get_profile("steady"), derandomize=False, print_blob=True)
settings.load_profile("steady")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path / "house") as opened:
        yield opened


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """A PostgreSQL of this session; whoever takes it empties it first."""
    if initdb_path() is None:
        pytest.skip("PostgreSQL is not installed here")
    with postgresql() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def either_url(request: pytest.FixtureRequest) -> str:
    """An empty database: none named, which is SQLite in the test's folder, and PostgreSQL where it is installed."""
    if request.param == "sqlite":
        return ""
    return emptied(request.getfixturevalue("database_url"))


LONG = ("harness", "journeys", "outside", "hostile", "dataspace", "workers")
"""Folders whose files take longest."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that no worker is left alone with one when the others are done."""
    here = Path(__file__).parent
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.relative_to(here).parts[0], len(LONG)))
