"""Tasks of the books."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session

from marketplace.costing import rerating, service
from marketplace.plumbing.runtime import Runtime
from workers.tasks.within import Plain, Within


def post(db: Session, runtime: Runtime, args: dict[str, Any]) -> None:
    """Put a metered event into the books, and what waits behind it; args: event."""
    service.post_with_others(db, args["event"], runtime.clock.now())


def rerate(runtime: Runtime, args: dict[str, Any]) -> None:
    """Correct what back-dated tariffs changed; args: revision of the tariffs."""
    rerating.run(runtime, args["revision"])


TASKS: dict[str, Plain | Within] = {"ledger.post": Within(post), "ledger.rerate": rerate}
