"""A million metered events rated, posted and invoiced, against a bare bulk insert of the very same rows."""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from sqlmodel import Session, func, select

from marketplace.costing.service import PAGE, post_pending
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.ledger import queries
from marketplace.plumbing import sqlite
from marketplace.plumbing.db import Database
from marketplace.plumbing.migrations import migrate
from marketplace.settlement import billing
from marketplace.settlement import queries as settlement
from marketplace.settlement.models import InvoiceLine
from tests.benchmarks.figures import Goal, Result, main
from tests.benchmarks.metered import MONTH, START, fill
from tests.harness.posting import Run, violations

GOALS = {
    "ratio.posted_events_s": Goal("G32", at_least=0.15),
    "ratio.events_s": Goal("G32", at_least=0.15),
    "resident_growth_mib": Goal("G32", at_most=16),
    "findings": Goal("G32", at_most=0),
    "killed_violations": Goal("G32", at_most=0),
    "balances_ms": Goal("G32", at_most=100),
}
NOW = START + timedelta(days=30)
# What each step writes; running balances are written once per account and page, so their rows are few.
WRITTEN = {
    "posted": {"entry": "tag = 'ledger:posted'", "ledger_transaction": "", "posting": "", "account_balance": ""},
    "invoiced": {
        "entry": "tag IN ('settlement:invoice_issued', 'audit:rows_sealed')",
        "document": "kind = 'invoice'",
        "invoice": "",
        "invoice_line": "",
    },
}

Step = Callable[[Database], Iterator[int]]


def post_pages(database: Database) -> Iterator[int]:
    """Page after page of waiting events through the real path, each a transaction of its own; yields how many."""
    while True:
        with database.transaction() as db:
            posted = post_pending(db, NOW, limit=PAGE).posted
        if not posted:
            return
        yield posted


def bill(database: Database) -> Iterator[int]:
    """The invoices of the month, as the schedule issues them, each a transaction of its own; yields their lines."""
    with database.reading() as db:
        waiting = settlement.to_bill(db, NOW, minimum_of=MONTH)
    for issuer, buyer in waiting:
        with database.transaction() as db:
            issued = billing.issue(db, SERVICE_ACTOR, issuer, buyer, NOW, month=MONTH)
            lines = _lines(db, issued.id) if issued else 0
        yield lines


def _lines(db: Session, invoice: str) -> int:
    return db.exec(select(func.count()).where(InvoiceLine.invoice_id == invoice)).one()


STEPS: dict[str, Step] = {"posted": post_pages, "invoiced": bill}


def measure(options: argparse.Namespace) -> Result:
    """Fill, post, bill, check, then insert the same rows again without any of the work; at last kill workers."""
    count = 50_000 if options.quick else 1_000_000
    result, took = Result("costing", "", GOALS), dict[str, float]()
    with tempfile.TemporaryDirectory(prefix="bench-costing-") as name:
        folder = Path(name)
        database = Database(f"sqlite:///{folder / 'books.sqlite3'}")
        migrate(database)
        fill(database, count)
        result.figures |= {"events": count, "resident_growth_mib": 0}
        for step, work in STEPS.items():
            took[step], resident = _drain(work(database), count)
            growth = max(result.figures["resident_growth_mib"], resident[2] - resident[0])
            result.figures |= {f"{step}_events_s": round(count / took[step]), "resident_growth_mib": round(growth, 1)}
            for when, mib in zip(("tenth", "middle", "end"), resident, strict=True):
                result.figures[f"{step}_resident_{when}_mib"] = round(mib, 1)
        result.figures["events_s"] = round(count / sum(took.values()))
        result.figures |= _check(database, count)
        database.dispose()
        bare = _bare(folder / "books.sqlite3", folder / "bare.sqlite3", count)
        (folder / "bare.sqlite3").unlink()
    result.floor = {f"{step}_events_s": round(count / bare[step]) for step in STEPS}
    result.floor["events_s"] = round(count / sum(bare.values()))
    result.ratio = {name: round(result.figures[name] / floor, 3) for name, floor in result.floor.items()}
    result.figures |= _killed(count // 10)
    result.how = (
        f"{count:,} metered events, of {PAGE} a transaction rated by tariffs and agreed prices, split by the posting "
        "rules and posted with their log entries and running balances; then one invoice for each of 50 buyers, with "
        "lines, document and seals; floor: the same rows by executemany into an empty database with the same indexes "
        "and triggers, as many transactions; memory: what is resident after a tenth, half and all of each step, and "
        "the largest growth from the tenth to the end; then a tenth of the events again with workers killed at "
        "random, counts and sums checked (all of them: python -m tests.harness.posting --events); one round."
    )
    return result


def _drain(done_by: Iterator[int], count: int) -> tuple[float, tuple[float, float, float]]:
    """(seconds, MiB resident after a tenth, at half and at the end)."""
    done, tenth, middle = 0, 0.0, 0.0
    started = time.monotonic()
    for took in done_by:
        done += took
        tenth = tenth or (done >= count // 10) * _resident_mib()
        middle = middle or (done >= count // 2) * _resident_mib()
    seconds = time.monotonic() - started
    assert done == count, f"{done} of {count} events were done"
    return seconds, (tenth, middle, _resident_mib())


def _check(database: Database, count: int) -> dict[str, float]:
    with database.reading() as db:
        postings = queries.counts(db)[1]
        started = time.monotonic()
        queries.balances(db)
        took = time.monotonic() - started
    return {
        "postings": postings,
        "findings": len(violations(database, count)),
        "balances_ms": round(took * 1000, 1),
    }


def _bare(source: Path, target: Path, count: int) -> dict[str, float]:
    """Seconds that the inserts alone take, by step."""
    empty = Database(f"sqlite:///{target}")
    migrate(empty)
    empty.dispose()
    with closing(sqlite3.connect(source)) as full, closing(sqlite3.connect(target, factory=sqlite.Connection)) as bare:
        sqlite.configure(bare, None)
        bare.execute("PRAGMA foreign_keys=OFF")  # the rows of metering are not among them
        bills = full.execute("SELECT count(*) FROM invoice").fetchone()[0]
        return {step: _insert(full, bare, step, -(-count // PAGE) if step == "posted" else bills) for step in WRITTEN}


def _insert(full: sqlite3.Connection, bare: sqlite3.Connection, step: str, pages: int) -> float:
    took, readers = 0.0, []
    for table, of in WRITTEN[step].items():
        where = f"FROM {table} {'WHERE ' + of if of else ''}"
        size = full.execute(f"SELECT count(*) {where}").fetchone()[0]
        readers.append((table, full.execute(f"SELECT * {where} ORDER BY rowid"), -(-size // pages)))
    for _ in range(pages):
        parts = [(table, rows.fetchmany(size)) for table, rows, size in readers]
        started = time.monotonic()
        bare.execute("BEGIN IMMEDIATE")
        for table, some in parts:
            if some:
                bare.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(some[0]))})", some)
        bare.execute("COMMIT")
        took += time.monotonic() - started
    return took


def _killed(count: int) -> dict[str, float]:
    """The same again by workers that are killed at random."""
    with tempfile.TemporaryDirectory(prefix="bench-costing-") as folder:
        run = Run(f"sqlite:///{folder}/books.sqlite3", count, 10, 2)
        wrong = run.go()
    return {"killed_events": count, "kills": run.killed, "killed_violations": len(wrong)}


def _resident_mib() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    main(measure)
