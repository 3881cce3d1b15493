"""Tasks of settlement: an invoice that is not paid, a result that nobody disputes."""

from __future__ import annotations

from typing import Any

from marketplace.plumbing.runtime import Runtime
from marketplace.settlement import chasing, results


def chase_invoice(runtime: Runtime, args: dict[str, Any]) -> None:
    """Call an invoice overdue, or hold its agreements, whichever it is time for.  args: invoice."""
    with runtime.database.transaction() as db:
        chasing.chase(db, args["invoice"], runtime.clock.now())


def settle_outcome(runtime: Runtime, args: dict[str, Any]) -> None:
    """Settle a declared result once its time for disputes is over.  args: agreement."""
    with runtime.database.transaction() as db:
        results.settle(db, args["agreement"], runtime.clock.now())


TASKS = {"settlement.chase_invoice": chase_invoice, "settlement.settle_outcome": settle_outcome}
