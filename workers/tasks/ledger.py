"""Tasks of the books."""

from __future__ import annotations

from typing import Any

from marketplace.costing import rerating, service
from marketplace.plumbing.runtime import Runtime


def post(runtime: Runtime, args: dict[str, Any]) -> None:
    """Put a metered event into the books, and what waits behind it; args: event."""
    with runtime.database.transaction() as db:
        service.post_with_others(db, args["event"], runtime.clock.now())


def rerate(runtime: Runtime, args: dict[str, Any]) -> None:
    """Correct what back-dated tariffs changed; args: revision of the tariffs."""
    rerating.run(runtime, args["revision"])


TASKS = {"ledger.post": post, "ledger.rerate": rerate}
