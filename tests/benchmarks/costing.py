"""A million metered events rated and posted by the page, against a bare bulk insert of the very same rows."""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from marketplace.costing.service import PAGE, post_pending
from marketplace.ledger import queries
from marketplace.ledger.auditing import audit
from marketplace.plumbing import sqlite
from marketplace.plumbing.db import Database
from marketplace.plumbing.migrations import migrate
from tests.benchmarks.figures import Goal, Result, main
from tests.benchmarks.metered import START, fill

GOALS = {
    "ratio.posted_events_s": Goal("G32", at_least=0.15),
    "resident_growth_mib": Goal("G32", at_most=16),
    "findings": Goal("G32", at_most=0),
    "balances_ms": Goal("G32", at_most=100),
}
NOW = START + timedelta(days=30)
# What posting writes; running balances are written once per account and page, so their rows are few.
TABLES = ("entry", "ledger_transaction", "posting", "account_balance")
_NEW = {"entry": "WHERE tag = 'ledger:posted'"}

Step = Callable[[Database], int]


def post_page(database: Database) -> int:
    """One page of waiting events through the real path, in a transaction of its own; returns how many."""
    with database.transaction() as db:
        return post_pending(db, NOW, limit=PAGE).posted


# What is done to the events in turn, each until it has nothing left to do.
STEPS: tuple[tuple[str, Step], ...] = (("posted", post_page),)


def measure(options: argparse.Namespace) -> Result:
    """Fill, post, check, then insert the same rows again without any of the work."""
    count = 50_000 if options.quick else 1_000_000
    result = Result("costing", "", GOALS)
    with tempfile.TemporaryDirectory(prefix="bench-costing-") as name:
        folder = Path(name)
        database = Database(f"sqlite:///{folder / 'books.sqlite3'}")
        migrate(database)
        fill(database, count)
        growth = 0.0
        for step, work in STEPS:
            seconds, grown = _drain(database, work, count)
            growth = max(growth, grown)
            result.figures[f"{step}_events_s"] = round(count / seconds)
        result.figures |= _check(database, count) | {"resident_growth_mib": round(growth, 1)}
        database.dispose()
        bare = _bare(folder / "books.sqlite3", folder / "bare.sqlite3", count)
    result.figures["events"] = count
    result.floor = {"posted_events_s": round(count / bare)}
    result.ratio = {"posted_events_s": round(result.figures["posted_events_s"] / result.floor["posted_events_s"], 3)}
    result.how = (
        f"{count:,} metered events of {PAGE} a transaction rated by tariffs and agreed prices, split by the posting "
        "rules and posted with their log entries and running balances; floor: the same rows by executemany into an "
        "empty database with the same indexes and triggers, as many transactions; memory: growth of what is resident "
        "from a tenth of the work to its end; one round."
    )
    return result


def _drain(database: Database, work: Step, count: int) -> tuple[float, float]:
    """(seconds, MiB grown between a tenth and the end)."""
    done, tenth = 0, 0.0
    started = time.monotonic()
    while took := work(database):
        done += took
        if not tenth and done >= count // 10:
            tenth = _resident_mib()
    seconds = time.monotonic() - started
    assert done == count, f"{done} of {count} events were posted"
    return seconds, _resident_mib() - tenth


def _check(database: Database, count: int) -> dict[str, float]:
    with database.reading() as db:
        report = audit(db)
        started = time.monotonic()
        queries.balances(db)
        took = time.monotonic() - started
    lost = abs(report.transactions - count)
    return {"postings": report.postings, "findings": len(report.findings) + lost, "balances_ms": round(took * 1000, 1)}


def _bare(source: Path, target: Path, count: int) -> float:
    """Seconds that the inserts alone take."""
    empty = Database(f"sqlite:///{target}")
    migrate(empty)
    empty.dispose()
    pages, took = -(-count // PAGE), 0.0
    with closing(sqlite3.connect(source)) as full, closing(sqlite3.connect(target, factory=sqlite.Connection)) as bare:
        sqlite.configure(bare, None)
        bare.execute("PRAGMA foreign_keys=OFF")  # the rows of metering are not among them
        readers = [full.execute(f"SELECT * FROM {table} {_NEW.get(table, '')} ORDER BY rowid") for table in TABLES]
        sizes = [full.execute(f"SELECT count(*) FROM {table} {_NEW.get(table, '')}").fetchone()[0] for table in TABLES]
        for _ in range(pages):
            parts = [reader.fetchmany(-(-size // pages)) for reader, size in zip(readers, sizes, strict=True)]
            started = time.monotonic()
            bare.execute("BEGIN IMMEDIATE")
            for table, rows in zip(TABLES, parts, strict=True):
                if rows:
                    bare.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)
            bare.execute("COMMIT")
            took += time.monotonic() - started
    return took


def _resident_mib() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    main(measure)
