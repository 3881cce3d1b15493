"""Which answers an instance gives: its rooms', or in the conformance mode the table's."""

from __future__ import annotations

from marketplace.dataspace.answering import Answering
from marketplace.dataspace.conformance import Table
from marketplace.dataspace.house import House
from marketplace.settings import Settings


def answering(settings: Settings) -> Answering:
    """By the settings, for the server and for its workers alike."""
    return Table() if settings.dataspace_conformance else House()
