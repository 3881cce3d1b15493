"""Tasks of the books."""

from __future__ import annotations

from typing import Any

from marketplace.costing import service
from marketplace.plumbing.runtime import Runtime


def post(runtime: Runtime, args: dict[str, Any]) -> None:
    """Put one metered event into the books; args: event."""
    with runtime.database.transaction() as db:
        service.post_event(db, args["event"], runtime.clock.now())


TASKS = {"ledger.post": post}
