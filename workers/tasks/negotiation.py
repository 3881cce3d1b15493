"""Tasks of negotiation: what happens when nobody moved in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from marketplace.negotiation import service
from marketplace.plumbing.runtime import Runtime


def expire(runtime: Runtime, args: dict[str, Any]) -> None:
    """End a negotiation at its deadline; a negotiation that moved meanwhile is left alone."""
    with runtime.database.transaction() as db:
        service.expire(db, args["request"], runtime.clock.now())


TASKS: dict[str, Callable[[Runtime, dict[str, Any]], None]] = {"negotiation.expire": expire}
