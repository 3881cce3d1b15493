"""An opinion ends by itself."""

from __future__ import annotations

from typing import Any

from marketplace.legal import lapsing
from marketplace.plumbing.runtime import Runtime


def lapse(runtime: Runtime, args: dict[str, Any]) -> None:
    """Record that an opinion holds no more; one that still holds or was replaced stays as it is."""
    with runtime.database.transaction() as db:
        lapsing.lapse(db, args["opinion"], runtime.clock.now())


TASKS = {lapsing.LAPSE_TASK: lapse}
