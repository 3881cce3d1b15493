"""One told story for all harness tests of a worker."""

from __future__ import annotations

import pytest

from tests.harness.world import Place, prepare


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return prepare(tmp_path_factory.mktemp("story"), slices=2, size=32)
