"""Where the lists of a page begin, and the addresses that lead through them page by page."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from marketplace.console.desks.sections import Leaves


class Places:
    """address: of the page, without a query; asked: list -> where it begins, as the page before said, or nothing."""

    def __init__(self, address: str, asked: Mapping[str, str | None]) -> None:
        self._address = address
        self._begun = {name: place for name, place in asked.items() if place}

    def of(self, name: str) -> str | None:
        """Where a list begins, None for its first row."""
        return self._begun.get(name)

    def leaves(self, name: str, following: str | None) -> Leaves:
        """How to leaf through a list, the others staying where they are.  following: where its next page begins."""
        others = {one: place for one, place in self._begun.items() if one != name}
        first = self._at(others) if name in self._begun else ""
        return Leaves(name, first, self._at(others | {name: following}) if following else "")

    def _at(self, begun: Mapping[str, str]) -> str:
        return f"{self._address}?{urlencode(begun)}" if begun else self._address
