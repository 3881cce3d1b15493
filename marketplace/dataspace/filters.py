"""What a catalogue request may be filtered by: our own plain objects, and the query that Eclipse EDC always sends."""

from __future__ import annotations

import re
from typing import Any, Final

from marketplace.dataspace.answering import FILTERS
from marketplace.dataspace.messages import BadMessage
from marketplace.kernel.canonical import Json

QUERY: Final = "QuerySpec"
_LIMIT: Final = re.compile(r"[0-9]{1,9}")


def read_filter(said: list[Any] | Json) -> dict[str, str]:
    """Join the objects of a filter into one, by `FILTERS` with texts.

    An object is such members, or a query as EDC sends it: equalities of them.  The order is ours to say, so that its
    `sortOrder` is heard and not followed; its pages are asked for by our links.  Raises BadMessage.
    """
    wanted: dict[str, str] = {}
    for one in said if isinstance(said, list) else [said]:
        is_query = isinstance(one, dict) and one.get("@type") == QUERY
        wanted |= _checked(_equalities(one) if is_query else one)
    return wanted


def read_limit(said: list[Any] | Json, usual: int, longest: int) -> int:
    """How long a page the objects of a filter ask for by `limit`: never shorter than usual, never above the longest."""
    limits = [str(one.get("limit")) for one in (said if isinstance(said, list) else [said]) if isinstance(one, dict)]
    numbers = [int(one) for one in limits if _LIMIT.fullmatch(one)]
    return min(max([usual, *numbers]), longest)


def _equalities(query: Json) -> Json:
    criteria = query.get("filterExpression", [])
    found = {}
    for one in criteria if isinstance(criteria, list) else [criteria]:
        if not isinstance(one, dict) or one.get("operator") != "=":
            raise BadMessage("a query compares by = alone", expected=f"operandLeft of {', '.join(FILTERS)}")
        found[str(one.get("operandLeft"))] = one.get("operandRight")
    if query.get("offset", 0) != 0 or query.get("sortField") is not None:
        raise BadMessage("pages follow by their links, in an order of ours", expected="offset 0 and no sortField")
    return found


def _checked(given: Any) -> dict[str, str]:
    members = dict(given) if isinstance(given, dict) else {"": ""}
    for name in ("cursor", "limit"):
        members.pop(name, None)
    if not all(name in FILTERS and isinstance(value, str) for name, value in members.items()):
        raise BadMessage("the filter is not one that is known here", expected=f"objects with {', '.join(FILTERS)}")
    return members
