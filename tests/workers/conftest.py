"""The house whose rows are run here, on either database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import House, open_house


@pytest.fixture
def house(either_url: str, tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path / "house", either_url) as opened:
        yield opened
