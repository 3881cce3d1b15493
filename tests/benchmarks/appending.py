"""Threads append entries through `Database.grouped` while integrator, signer and witness work.

The floor is the same discipline written down minimally on the bare driver: the same number of threads, a leader that
runs everybody's insert under a savepoint, one durable commit, the same table, indexes and bytes.
"""

from __future__ import annotations

import sqlite3
import statistics
import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import text
from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.audit.processes import LogProcesses
from marketplace.audit.service import integrate
from marketplace.kernel.actor import Actor
from marketplace.kernel.ids import new_id
from marketplace.plumbing.db import Database
from marketplace.plumbing.migrations import migrate
from marketplace.settings import Settings
from tests.benchmarks.figures import Result
from workers.relay import Loop

THREADS = 36
"""As many as the service lets write at once: 12 transactions and 24 downloads (`plumbing.turns`)."""
ROUNDS = 5
ACTOR = Actor("prt_benchmark", frozenset(), kid="k" * 43)
FACTS = {"transfer": "trf_" + "0" * 32, "window": 7, "bytes": 1 << 20, "sha256": "ab" * 32}
ABOUT = {"asset": "ast_" + "0" * 32, "version": "ver_" + "0" * 32, "agreement": "agr_" + "0" * 32}
INSERT = "INSERT INTO entry (id, tag, actor, at, asset, version, agreement, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"

Append = Callable[[], str]
"""Makes one entry durable and returns its id."""


def append_entry(db: Session) -> str:
    """The unit of work: one entry as a served window writes it."""
    return record(db, ACTOR, Tag.WINDOW_SERVED, datetime.now(UTC), **ABOUT, facts=FACTS)


def measure_appending(folder: Path, result: Result, seconds: float) -> str:
    """Put figures, floor and ratio of appending into the result; returns how they were measured."""
    settings = Settings(data_folder=folder / "market")
    database = Database(settings.effective_database_url)
    migrate(database)
    with ExitStack() as stack:
        stack.callback(database.dispose)
        log = stack.enter_context(LogProcesses(settings))
        watch = Watch(database, log, settings.checkpoint_interval_ms / 1000)
        stack.callback(watch.loop.stop)
        watch.loop.start()

        load = run_load(lambda: database.grouped(append_entry), seconds)
        watch.until(load.ids[-1])
        waits = watch.waits(load)
        bare = Bare(folder / "bare.sqlite3", database)
        stack.callback(bare.close)
        ours, floor = _rounds(database, bare, max(1.0, seconds / 20))

    result.figures |= {
        "appends_per_s": round(load.per_second),
        "append_p50_ms": round(1e3 * load.percentile(0.5), 2),
        "append_p99_ms": round(1e3 * load.percentile(0.99), 2),
        "cosigned_p50_s": round(_percentile(waits, 0.5), 3),
        "cosigned_p99_s": round(_percentile(waits, 0.99), 3),
        "cosigned_max_s": round(waits[-1], 3),
    }
    result.floor["appends_per_s"] = round(floor)
    result.ratio["appends_per_s"] = round(ours / floor, 3)
    return (
        f"{len(load.ids):,} entries by {THREADS} threads in {seconds:g} s with synchronous=FULL, integrator in the "
        f"same process, signer and witness as child processes; time to cosignature from asking to the stored "
        f"checkpoint; ratio from {ROUNDS} interleaved rounds against bare group-committed inserts."
    )


def _rounds(database: Database, bare: Bare, seconds: float) -> tuple[float, float]:
    ours, floor = [], []
    for _ in range(ROUNDS):
        floor.append(run_load(bare.append, seconds).per_second)
        ours.append(run_load(lambda: database.grouped(append_entry), seconds).per_second)
    return statistics.median(ours), statistics.median(floor)


class Load:
    """What the threads of a load did.  ids: in the order of answering; asked, took: moment and seconds of each."""

    def __init__(self, seconds: float) -> None:
        self.ids: list[str] = []
        self.asked: list[float] = []
        self.took: list[float] = []
        self.until = time.monotonic() + seconds
        self.seconds = seconds

    @property
    def per_second(self) -> float:
        return len(self.ids) / self.seconds

    def percentile(self, part: float) -> float:
        return _percentile(sorted(self.took), part)


def run_load(append: Append, seconds: float) -> Load:
    """Append from THREADS threads for some seconds; an error in any of them is raised here."""
    load, errors = Load(seconds), list[BaseException]()
    lock = threading.Lock()

    def work() -> None:
        mine: list[tuple[str, float, float]] = []
        try:
            while (asked := time.monotonic()) < load.until:
                mine.append((append(), asked, time.monotonic() - asked))
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)
        with lock:
            for one, asked, took in mine:
                load.ids.append(one)
                load.asked.append(asked)
                load.took.append(took)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return load


class Watch:
    """The integrator's loop as the embedded form runs it, noting when each checkpoint was stored."""

    def __init__(self, database: Database, log: LogProcesses, pause: float) -> None:
        self._database, self._log = database, log
        self._checkpoints: list[tuple[int, float]] = []
        self.loop = Loop("log-integrator", self._step, pause)

    def _step(self) -> bool:
        done = integrate(self._database, self._log.client, datetime.now(UTC))
        if not self._checkpoints or done.checkpoint > self._checkpoints[-1][0]:
            self._checkpoints.append((done.checkpoint, time.monotonic()))
        return False

    def until(self, entry_id: str, seconds: float = 60) -> None:
        """Wait until an entry is under a stored checkpoint.  Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with self._database.reading() as db:
                row = db.connection().execute(text("SELECT leaf_index FROM entry WHERE id = :id"), {"id": entry_id})
                index = row.scalar()
            if index is not None and self._checkpoints and self._checkpoints[-1][0] > index:
                return
            time.sleep(0.05)
        raise TimeoutError(f"entry {entry_id} has no cosigned checkpoint after {seconds:g} s")

    def waits(self, load: Load) -> list[float]:
        """Seconds from asking to the stored checkpoint of every entry of a load, ascending."""
        with self._database.reading() as db:
            rows = db.connection().execute(text("SELECT id, leaf_index FROM entry WHERE leaf_index IS NOT NULL")).all()
        leaf = {row[0]: row[1] for row in rows}
        sizes = [size for size, _ in self._checkpoints]
        found = []
        for entry_id, asked in zip(load.ids, load.asked, strict=True):
            covering = bisect_right(sizes, leaf[entry_id])
            found.append(self._checkpoints[covering][1] - asked)
        return sorted(found)


class Bare:
    """A group-committed insert with nothing around it."""

    def __init__(self, path: Path, like: Database) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
            self._connection.execute(f"PRAGMA {pragma}")
        with like.reading() as db:
            rows = db.connection().execute(text("SELECT sql FROM sqlite_master WHERE tbl_name = 'entry' AND sql > ''"))
            for (statement,) in rows.all():
                self._connection.execute(statement)
            self._body = db.connection().execute(text("SELECT body FROM entry LIMIT 1")).scalar()
        self._lock, self._waiting, self._led = threading.Lock(), deque[list[object]](), False

    def close(self) -> None:
        self._connection.close()

    def append(self) -> str:
        """One insert, durable when this returns."""
        entry_id, woken = new_id("ent"), threading.Lock()
        woken.acquire()
        unit: list[object] = [entry_id, woken, False]
        with self._lock:
            self._waiting.append(unit)
            first, self._led = not self._led, True
        if not first:
            woken.acquire()
        if first or unit[2]:
            self._lead()
        return entry_id

    def _lead(self) -> None:
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        group = []
        while self._waiting:
            unit = self._waiting.popleft()
            execute("SAVEPOINT unit")
            row = (unit[0], Tag.WINDOW_SERVED.value, ACTOR.participant, "2026-01-01 00:00:00.000000", *ABOUT.values())
            execute(INSERT, (*row, self._body))
            execute("RELEASE unit")
            group.append(unit)
        execute("COMMIT")
        with self._lock:
            if self._waiting:
                self._waiting[0][2] = True
                self._waiting[0][1].release()  # type: ignore[attr-defined]
            else:
                self._led = False
        for unit in group[1:]:
            unit[1].release()  # type: ignore[attr-defined]


def _percentile(ascending: list[float], part: float) -> float:
    return ascending[min(len(ascending) - 1, int(part * len(ascending)))]
