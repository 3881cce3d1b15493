"""Lists and things that change, as one participant reads them: page by page, and waiting instead of asking again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from marketplace.client.api import ApiClient, Params
from marketplace.kernel.errors import Unavailable

LONGEST: Final = 20
"""Seconds for which the service is asked to wait at a time."""
LONG_PAGES: Final[Params] = {"limit": 500}
"""For who reads a list to its end."""
PAUSE_SECONDS: Final = 1.0


class NotInTime(Unavailable):
    """What was waited for did not come about."""


def items(client: ApiClient, path: str, params: Params | None = None) -> Iterator[Any]:
    """The items of a list, of all its pages.  Raises ProblemError."""
    asked = dict(params or {})
    while True:
        page = client.get(path, asked)
        yield from page["items"]
        if page["next"] is None:
            return
        asked["cursor"] = page["next"]


def wait_for(
    client: ApiClient, path: str, ready: Callable[[Any], bool], *, seconds: float, params: Params | None = None
) -> Any:
    """The JSON of a resource as soon as it is ready; the service answers when it has changed (`wait`).

    ready: judges each answer that is another one.  Raises NotInTime, ProblemError.
    """
    held, end = None, time.monotonic() + seconds
    while True:
        asked_at = time.monotonic()
        wait = min(LONGEST, max(0, math.ceil(end - asked_at)))
        found, held = client.get_again(path, dict(params or {}) | {"wait": wait}, held)
        if found is not None and ready(found):
            return found
        if time.monotonic() >= end:
            raise NotInTime("it did not come about in time", expected=f"within {seconds:g} s", got=path)
        if found is None and time.monotonic() - asked_at < wait / 2:
            time.sleep(PAUSE_SECONDS)  # so many of this party wait that it is answered at once
