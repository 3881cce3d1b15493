"""What runs by the clock: a table of when, what and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from marketplace.accounting.capital import ask_for_write_offs
from marketplace.audit.counted import write_counts
from marketplace.costing.rerating import ask_for_rerating
from marketplace.costing.service import sweep as post_late_events
from marketplace.dataspace.leftovers import sweep_parts
from marketplace.plumbing.idempotency import forget_old_answers
from marketplace.plumbing.runtime import Runtime
from marketplace.settlement.billing import bill_months
from marketplace.transfer.service import sweep
from workers.relay import Loop


@dataclass(frozen=True)
class Scheduled:
    """A piece of work that returns by itself.  every_seconds: pause between two runs."""

    name: str
    every_seconds: float
    run: Callable[[Runtime], object]
    why: str


SCHEDULE: tuple[Scheduled, ...] = (
    Scheduled("transfer.sweep", 10, sweep, "a use whose client or server died is settled by its logged windows"),
    Scheduled("ledger.sweep", 60, post_late_events, "a metered event whose posting task was lost"),
    Scheduled("ledger.rerate", 3600, ask_for_rerating, "a tariff published for days that are over corrects postings"),
    Scheduled("settlement.bill", 3600, bill_months, "buyers get the invoice of the month that ended"),
    Scheduled("accounting.write_off", 3600, ask_for_write_offs, "months and sales write capitalised assets off"),
    Scheduled("refusals.count", 600, write_counts, "refusals of unknown callers become one entry, by reason"),
    Scheduled("dataspace.inbox", 600, sweep_parts, "what came of a push that is over, or is kept, is thrown away"),
    Scheduled("idempotency.forget", 3600, forget_old_answers, "answers older than the promised time"),
)


def periodic_loops(runtime: Runtime) -> list[Loop]:
    """One loop for each line of the schedule."""
    return [Loop(row.name, _step(row, runtime), row.every_seconds) for row in SCHEDULE]


def _step(row: Scheduled, runtime: Runtime) -> Callable[[], object]:
    def step() -> None:
        row.run(runtime)

    return step
