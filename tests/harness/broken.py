"""`python -m tests.harness.broken BUG ARGUMENTS…`: the `marketplace` command with one realistic fault in it.

unsettled: the sweeper closes orphaned uses and forgets to settle their quota.
early: an answer leaves before its transaction is committed.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any


def unsettled() -> None:
    """Must be planted before the schedule takes the sweep."""
    from marketplace.transfer import rules, service

    close, settle = service.close, service.quotas.settle

    def close_without(db: Any, actor: Any, transfer: str, leg: int, outcome: str, now: Any) -> bool:
        if outcome == rules.ORPHANED:
            service.quotas.settle = lambda *_args, **_named: 0
        try:
            return close(db, actor, transfer, leg, outcome, now)
        finally:
            service.quotas.settle = settle

    service.close = close_without


def early() -> None:
    """The commit happens a moment later, in a thread of its own."""
    from marketplace.plumbing import web

    run_in_threadpool = web.run_in_threadpool
    late: dict[int, threading.Thread] = {}

    async def hurried(work: Callable[..., Any], *args: Any, **named: Any) -> Any:
        owner = getattr(work, "__self__", None)
        name = getattr(work, "__name__", "")
        if name == "commit":

            def commit_late() -> None:
                time.sleep(0.15)
                work(*args, **named)
                owner.close()

            late[id(owner)] = threading.Thread(target=commit_late, daemon=True)
            late[id(owner)].start()
            return None
        if name == "close" and late.pop(id(owner), None) is not None:
            return None
        return await run_in_threadpool(work, *args, **named)

    web.run_in_threadpool = hurried


BUGS = {"unsettled": unsettled, "early": early}

if __name__ == "__main__":
    BUGS[sys.argv.pop(1)]()
    from marketplace.cli import main

    main()
