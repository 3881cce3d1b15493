"""Where the tests of settlement begin."""

from __future__ import annotations

import pytest

from tests.exchange.parts import certified
from tests.house import House
from tests.settlement.parts import post


@pytest.fixture
def owing(house: House) -> House:
    """A hospital that owes for an opinion and a certificate, by the books; nobody has named an account yet."""
    certified(house)
    post(house)
    return house
