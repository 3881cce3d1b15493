"""Time of the told year: a clock that stands still, and all work of the service done at the moment when it is due.

Nothing runs beside the teller, so that the same plot gives the same figures on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import col, func, select

from marketplace.audit.models import Entry
from marketplace.audit.processes import LogProcesses
from marketplace.kernel.clock import StoryClock
from marketplace.kernel.errors import Conflict
from marketplace.main import build_runtime
from marketplace.plumbing import outbox
from marketplace.plumbing.migrations import migrate
from marketplace.plumbing.outbox import OutboxRow
from marketplace.plumbing.runtime import Runtime
from marketplace.settings import Settings
from workers.instance import flush_refusals, only_one, register_service_key
from workers.relay import run_due
from workers.schedule import SCHEDULE
from workers.tasks.audit import integrate_once


class WorkGivenUp(Conflict):
    """The service has given a piece of work up: the year cannot be told on."""


@dataclass
class Almanac:
    """A service whose time and work the teller moves by hand."""

    runtime: Runtime
    clock: StoryClock
    log: LogProcesses

    def to(self, moment: datetime) -> datetime:
        """Let the time until a moment pass: each piece of work is done when it is due, the schedule at the end."""
        self.work()
        while (due := self._next_due(moment)) is not None:
            self.clock.advance_to(due)
            self.work()
        now = self.clock.advance_to(moment)
        for row in SCHEDULE:
            row.run(self.runtime)
        self.work()
        return now

    def after(self, *, days: int = 0, hours: int = 0) -> datetime:
        """Let so much time pass."""
        return self.to(self.clock.now() + timedelta(days=days, hours=hours))

    def work(self) -> None:
        """Do all that is due at this moment.  Raises WorkGivenUp."""
        while run_due(self.runtime):
            pass
        with self.runtime.database.reading() as db:
            lost = [f"{one.task}: {one.last_error}" for one in outbox.given_up(db)]
        if lost:
            raise WorkGivenUp("the service gave work up", got="; ".join(lost)[:500])

    def seal(self) -> int:
        """Bring every entry into the tree and have its head cosigned; the number of entries."""
        while integrate_once(self.runtime, self.log).integrated:
            pass
        with self.runtime.database.reading() as db:
            return db.exec(select(func.count()).select_from(Entry)).one()

    def _next_due(self, until: datetime) -> datetime | None:
        rows = select(func.min(OutboxRow.due_at)).where(
            col(OutboxRow.done_at).is_(None), col(OutboxRow.given_up_at).is_(None), col(OutboxRow.due_at) <= until
        )
        with self.runtime.database.reading() as db:
            return db.exec(rows).one()


@contextmanager
def open_almanac(settings: Settings, began: datetime) -> Iterator[Almanac]:
    """Open a whole instance in this process that stands still; it ends with the block.

    Raises FolderInUse, LogSilent.
    """
    with ExitStack() as stack:
        stack.enter_context(only_one(settings.data_folder))
        clock = StoryClock(began)
        runtime = build_runtime(settings, clock)
        stack.callback(runtime.close)
        migrate(runtime.database)
        stack.callback(flush_refusals, runtime)
        log = stack.enter_context(LogProcesses(runtime.settings))
        register_service_key(runtime)
        yield Almanac(runtime, clock, log)
