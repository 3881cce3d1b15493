"""Tasks of settlement: what happens to an invoice that is not paid."""

from __future__ import annotations

from typing import Any

from marketplace.plumbing.runtime import Runtime
from marketplace.settlement import chasing


def chase_invoice(runtime: Runtime, args: dict[str, Any]) -> None:
    """Call an invoice overdue, or hold its agreements, whichever it is time for.  args: invoice."""
    with runtime.database.transaction() as db:
        chasing.chase(db, args["invoice"], runtime.clock.now())


TASKS = {"settlement.chase_invoice": chase_invoice}
