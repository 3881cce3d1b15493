"""Task functions by reason to wait: plain functions first, Celery tasks second, ten lines each, safe to run twice."""

from __future__ import annotations

from typing import TypeAlias

from workers.tasks import (
    accounting,
    dataspace,
    governance,
    ledger,
    legal,
    negotiation,
    registration,
    settlement,
    transfer,
)
from workers.tasks.within import Plain, Within

Task: TypeAlias = Plain | Within

REGISTRY: dict[str, Task] = {
    **accounting.TASKS,
    **dataspace.TASKS,
    **governance.TASKS,
    **ledger.TASKS,
    **legal.TASKS,
    **negotiation.TASKS,
    **registration.TASKS,
    **settlement.TASKS,
    **transfer.TASKS,
}
TO_OTHERS = frozenset({"dataspace.push", "dataspace.send", "transfer.push_notice"})
"""Tasks that wait for servers of other people."""
LONG = frozenset({"dataspace.push"})
"""Those of them that last as long as data flows; they hold up no message."""
