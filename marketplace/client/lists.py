"""Lists and things that change, as one participant reads them: page by page, and waiting instead of asking again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from marketplace.client.api import ApiClient, Params
from marketplace.client.problem import ProblemError
from marketplace.kernel.errors import Unavailable

LONGEST: Final = 20
"""Seconds for which the service is asked to wait at a time."""
LONG_PAGES: Final[Params] = {"limit": 500}
"""For who reads a list to its end."""
PAUSE_SECONDS: Final = 1.0
SLOWEST_SECONDS: Final = 5.0
"""Between two questions that the service answers without waiting: at first, and after ever longer pauses."""


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
    client: ApiClient,
    path: str,
    ready: Callable[[Any], bool],
    *,
    seconds: float,
    params: Params | None = None,
    not_yet: str | None = None,
) -> Any:
    """The JSON of a resource as soon as it is ready; the service answers when it has changed (`wait`).

    Where it does not wait, because too many of this party do or the resource has no ETag, it is asked after a pause.
    ready: judges each answer that is another one; not_yet: slug of the refusal of what is not there yet.
    Raises NotInTime, ProblemError.
    """
    held, pause, end = None, PAUSE_SECONDS, time.monotonic() + seconds
    while True:
        asked_at = time.monotonic()
        wait = min(LONGEST, max(0, math.ceil(end - asked_at)))
        found, held = _answer(client, path, dict(params or {}) | {"wait": wait}, held, not_yet)
        if found is not None and ready(found):
            return found
        now = time.monotonic()
        if now >= end:
            raise NotInTime("it did not come about in time", expected=f"within {seconds:g} s", got=path)
        if (found is None or held is None) and now - asked_at < wait / 2:
            time.sleep(min(pause, end - now))
            pause = min(2 * pause, SLOWEST_SECONDS)
        else:
            pause = PAUSE_SECONDS


def _answer(
    client: ApiClient, path: str, params: Params, held: str | None, not_yet: str | None
) -> tuple[Any, str | None]:
    try:
        return client.get_again(path, params, held)
    except ProblemError as refused:
        if refused.slug != not_yet:
            raise
        return None, held
