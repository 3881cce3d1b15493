"""Tasks of accounting."""

from __future__ import annotations

from typing import Any

from marketplace.accounting import capital
from marketplace.plumbing.runtime import Runtime


def write_off(runtime: Runtime, args: dict[str, Any]) -> None:
    """Write off what is due of a capitalised asset; args: asset."""
    with runtime.database.transaction() as db:
        capital.write_off(db, args["asset"], runtime.clock.now())


def impair(runtime: Runtime, args: dict[str, Any]) -> None:
    """Write off what a delisted asset has not recovered; args: asset."""
    with runtime.database.transaction() as db:
        capital.impair(db, args["asset"], runtime.clock.now())


TASKS = {capital.WRITE_OFF_TASK: write_off, capital.IMPAIR_TASK: impair}
