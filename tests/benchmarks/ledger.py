"""A million postings by the real posting rules, then the real audit of the books (goal G4)."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path

from marketplace.audit.entry import Tag, Told, record_all
from marketplace.costing.rating import rate
from marketplace.costing.tariffs import tariff_book
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.ledger import queries
from marketplace.ledger.accounts import posting_rules
from marketplace.ledger.auditing import Audit, audit
from marketplace.ledger.rules import Draft
from marketplace.ledger.service import post_all
from marketplace.plumbing.db import Database
from marketplace.plumbing.migrations import migrate
from tests.benchmarks.figures import Goal, Result, main
from tests.benchmarks.metered import metered

GOALS = {
    "imbalance_minor": Goal("G4", at_most=0),
    "findings": Goal("G4", at_most=0),
    "audit_1m_s": Goal("G4", at_most=5),
}
PART = 2_000
ROUNDS = 3
START = datetime(2026, 9, 1, 1, 0, tzinfo=UTC)
# Mostly sales and uses, as in the life of a listing; each kind by its own rule and tariff.
KINDS = ("use.transfer", "sale.access", "use.transfer", "use.transfer", "governance.scan", "legal.opinion")


def measure(options: argparse.Namespace) -> Result:
    """Build the books and audit them."""
    postings = 100_000 if options.quick else 1_000_000
    result = Result("ledger", "", GOALS)
    with tempfile.TemporaryDirectory(prefix="bench-ledger-") as folder:
        database = Database(f"sqlite:///{Path(folder) / 'books.sqlite3'}")
        migrate(database)
        started = time.monotonic()
        made = build(database, postings)
        built = time.monotonic() - started
        took, report = _audit(database)
        with database.reading() as db:
            imbalance = queries.imbalance(db)
        database.dispose()
    result.figures |= {
        "postings": report.postings,
        "transactions": report.transactions,
        "imbalance_minor": imbalance,
        "findings": len(report.findings) + abs(report.postings - made),
        "build_s": round(built, 1),
        "audit_1m_s": round(took * 1e6 / report.postings, 2),
    }
    result.how = (
        f"{report.postings:,} postings of metered events rated by the tariffs and split by the posting rules, posted "
        f"by the page with their log entries; the whole audit of the books, median of {ROUNDS}, scaled to 1,000,000."
    )
    return result


def build(database: Database, wanted: int) -> int:
    """Put at least so many postings into the books, by the page; returns how many."""
    made, drafts = 0, _drafts()
    while made < wanted:
        part = [next(drafts) for _ in range(PART)]
        with database.transaction() as db:
            about = [Told(one.dims.asset, one.dims.version, one.dims.agreement, {"kind": one.kind}) for one in part]
            causes = record_all(db, SERVICE_ACTOR, Tag.COST_METERED, START, about)
            caused = [replace(one, entry_id=cause) for one, cause in zip(part, causes, strict=True)]
            post_all(db, SERVICE_ACTOR, caused, part[-1].at)
        made += sum(len(one.lines) for one in part)
    return made


def _drafts() -> Iterator[Draft]:
    rules, book = posting_rules(), tariff_book()
    for number, kind in enumerate(cycle(KINDS)):
        yield rate(metered(number, kind, START + timedelta(seconds=number)), rules.rule(kind), book)


def _audit(database: Database) -> tuple[float, Audit]:
    took = []
    for _ in range(ROUNDS):
        started = time.monotonic()
        with database.reading() as db:
            report = audit(db)
        took.append(time.monotonic() - started)
    return statistics.median(took), report


if __name__ == "__main__":
    main(measure)
