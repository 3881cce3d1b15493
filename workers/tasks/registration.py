"""Registration waits on the guideline's clocks."""

from __future__ import annotations

from typing import Any

from marketplace.plumbing.runtime import Runtime
from marketplace.registration import lapsing, queries, service


def accept_by_silence(runtime: Runtime, args: dict[str, Any]) -> None:
    """Three working days of silence accept an application; one that was answered stays as it is."""
    with runtime.database.transaction() as db:
        found = queries.application(db, args["application"])
        service.accept_by_silence(db, found, runtime.clock.now())


def lapse(runtime: Runtime, args: dict[str, Any]) -> None:
    """Record that a certificate has lapsed; one that was renewed or ended before stays as it is."""
    with runtime.database.transaction() as db:
        lapsing.lapse(db, args["code"], runtime.clock.now())


TASKS = {service.SILENCE_TASK: accept_by_silence, lapsing.LAPSE_TASK: lapse}
