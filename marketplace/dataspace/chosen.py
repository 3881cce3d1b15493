"""Which answers an instance gives: its rooms', in the conformance mode the table's; and whom it believes."""

from __future__ import annotations

from marketplace.dataspace.answering import Answering
from marketplace.dataspace.conformance import Table
from marketplace.dataspace.house import House
from marketplace.dataspace.mock import Mocked
from marketplace.settings import Settings


def answering(settings: Settings) -> Answering:
    """By the settings, for the server and for its workers alike."""
    if settings.dataspace_conformance:
        return Table()
    return Mocked() if settings.dataspace_mock_identity else House()
