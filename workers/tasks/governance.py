"""Tasks of governance: one batch of files, the end of a job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from marketplace.governance import batch
from marketplace.governance.finish import finish
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.plumbing.runtime import Runtime


def govern_batch(runtime: Runtime, args: dict[str, Any]) -> None:
    """Judge one batch of a job's files; commits as it goes, because a batch takes seconds."""
    batch.run(runtime, str(args["job"]), int(args["batch"]))


def finish_job(runtime: Runtime, args: dict[str, Any]) -> None:
    """Seal the governed version of a job whose files are all judged."""
    with runtime.database.transaction() as db:
        finish(db, SERVICE_ACTOR, runtime.store, str(args["job"]), runtime.clock.now())


TASKS: dict[str, Callable[[Runtime, dict[str, Any]], None]] = {
    "governance.batch": govern_batch,
    "governance.finish": finish_job,
}
