from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.audit.world import Log, open_log


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with open_log(tmp_path / "log") as opened:
        yield opened
