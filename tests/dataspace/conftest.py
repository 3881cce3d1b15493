"""Fixtures that tests of the protocol share; a file that needs another listing or peer defines its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from marketplace.exchange.models import Listing
from tests.dataspace.peer import Peer, speaking
from tests.exchange.parts import listed
from tests.house import House


@pytest.fixture
def listing(house: House) -> Listing:
    return listed(house)


@pytest.fixture
def peer(house: House) -> Iterator[Peer]:
    with speaking(house) as found:
        yield found
