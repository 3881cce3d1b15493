"""A large log is built, checked whole, and one of its proofs is checked offline by the independent verifier."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from marketplace.audit.entry import _SQLITE, Tag, _body
from marketplace.audit.fsck import fsck
from marketplace.audit.processes import LogProcesses
from marketplace.audit.service import integrate, prove_leaf
from marketplace.kernel.clock import timestamp
from marketplace.kernel.ids import new_id
from marketplace.plumbing.db import Database
from marketplace.plumbing.migrations import migrate
from marketplace.settings import Settings
from tests.benchmarks.appending import ABOUT, ACTOR, FACTS
from tests.benchmarks.figures import Result

PART = 20_000
ROUNDS = 3


def measure_verifying(folder: Path, result: Result, entries: int) -> str:
    """Put the figures of checking a log of so many entries into the result; returns how they were measured."""
    settings = Settings(data_folder=folder)
    database = Database(settings.effective_database_url)
    migrate(database)
    with LogProcesses(settings) as log:
        started = time.monotonic()
        build(database, log, entries)
        built = time.monotonic() - started
        took = [_check(database, log, entries) for _ in range(ROUNDS)]
        with database.reading() as db:
            proof = prove_leaf(db, entries // 3).tlog_proof
        verified = [_verify(folder / "proof.tlog", proof, log) for _ in range(ROUNDS)]
    database.dispose()
    result.figures |= {
        "build_s": round(built, 1),
        "verify_1m_s": round(statistics.median(took) * 1e6 / entries, 2),
        "proof_bytes": len(proof.encode()),
        "proof_verify_s": round(statistics.median(verified), 3),
    }
    return (
        f"{entries:,} entries with the bodies of `entry.record`, inserted in bulk, numbered and put into tiles by the "
        f"real integrator, signed and cosigned each {PART:,}; all checked with `audit fsck`, median of {ROUNDS}, "
        f"scaled to 1,000,000; one proof file checked by the independent verifier in a process of its own."
    )


def build(database: Database, log: LogProcesses, entries: int) -> None:
    """Fill the log of an instance: real bodies in bulk, then the real integrator, part by part."""
    rows = _rows(entries)
    while part := list(islice(rows, PART)):
        with database.transaction() as db:
            db.connection().exec_driver_sql(_SQLITE, part)
        integrate(database, log.client, datetime.now(UTC), limit=PART)


def _rows(entries: int) -> Iterator[tuple[str | bytes, ...]]:
    now = datetime.now(UTC)
    for number in range(entries):
        entry_id, at = new_id("ent"), timestamp(now + timedelta(milliseconds=number))
        actor, subject = (ACTOR.participant, ACTOR.kid, None), tuple(ABOUT.values())
        body = _body(entry_id, Tag.WINDOW_SERVED, at, actor, subject, FACTS | {"window": number})  # type: ignore[arg-type]
        stored = at.replace("T", " ").removesuffix("Z")
        yield (entry_id, Tag.WINDOW_SERVED.value, ACTOR.participant, stored, *subject, body)


def _check(database: Database, log: LogProcesses, entries: int) -> float:
    started = time.monotonic()
    with database.reading() as db:
        report = fsck(db, keys=log.client.keys)
    if not report.sound or report.entries != entries:
        raise RuntimeError(f"expected {entries} sound entries, got {report.entries} and {report.findings[:3]}")
    return time.monotonic() - started


def _verify(file: Path, proof: str, log: LogProcesses) -> float:
    file.write_text(proof)
    keys = ["--log-key", str(log.client.keys.log), "--witness-key", str(log.client.keys.witness)]
    started = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "marketplace.audit.verifier", str(file), *keys], check=True, stdout=subprocess.DEVNULL
    )
    return time.monotonic() - started
