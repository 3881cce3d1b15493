from __future__ import annotations

import pytest

from tests.participants.small_market import open_market


@pytest.fixture
def market(house):
    with open_market(house) as opened:
        yield opened
