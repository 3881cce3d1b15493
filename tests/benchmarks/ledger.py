"""A million postings by the real posting rules, then the real audit of the books (goal G4)."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path

from sqlalchemy import insert
from sqlmodel import Session

from marketplace.audit.entry import _SQLITE, Tag, _body
from marketplace.costing.models import MeterEvent
from marketplace.costing.rating import rate
from marketplace.costing.tariffs import tariff_book
from marketplace.kernel.actor import SERVICE
from marketplace.kernel.clock import timestamp
from marketplace.kernel.ids import new_id
from marketplace.ledger import queries
from marketplace.ledger.accounts import posting_rules
from marketplace.ledger.auditing import Audit, audit
from marketplace.ledger.models import LedgerTransaction, Posting
from marketplace.ledger.rules import Draft, check
from marketplace.ledger.service import _facts, _row
from marketplace.plumbing.db import Database
from marketplace.plumbing.migrations import migrate
from tests.benchmarks.figures import Goal, Result, main

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
        f"{report.postings:,} postings of metered events rated by the tariffs and split by the posting rules, written "
        f"in bulk with their log entries; the whole audit of the books, median of {ROUNDS}, scaled to 1,000,000."
    )
    return result


def build(database: Database, wanted: int) -> int:
    """Put at least so many postings into the books, in bulk; returns how many."""
    made, drafts = 0, _drafts()
    while made < wanted:
        part = [next(drafts) for _ in range(PART)]
        with database.transaction() as db:
            made += _write(db, part)
    return made


def _drafts() -> Iterator[Draft]:
    rules, book = posting_rules(), tariff_book()
    for number, kind in enumerate(cycle(KINDS)):
        event = MeterEvent(
            id=new_id("mtr"),
            event_key=f"bench:{number}",
            kind=kind,
            quantity=1 + number % 7,
            unit_price_fen=10_000 + number % 9_999,
            asset_id=f"ast_{number % 500}",
            version_id=f"ver_{number % 500}",
            agreement_id=f"agr_{number % 2_000}",
            payer_id=f"prt_buyer_{number % 50}",
            payee_id=f"prt_seller_{number % 40}",
            venue_id="prt_exchange",
            at=START + timedelta(seconds=number),
            entry_id=new_id("ent"),
        )
        yield rate(event, rules.rule(kind), book)


def _write(db: Session, drafts: Sequence[Draft]) -> int:
    """As `ledger.service.post` writes, with one statement per table and part instead of one per row."""
    entries, transactions, postings = list[tuple[str | bytes | None, ...]](), [], []
    for draft in drafts:
        check(draft)
        transaction_id, posting_entry = new_id("ltx"), new_id("ent")
        entries.append(_entry(draft, draft.entry_id, Tag.COST_METERED, {"kind": draft.kind}))
        entries.append(_entry(draft, posting_entry, Tag.LEDGER_POSTED, _facts(draft, transaction_id, None)))
        transactions.append(_row(draft, transaction_id, posting_entry, draft.at, None).model_dump())
        same = {"transaction_id": transaction_id, **asdict(draft.dims)}
        postings += [{"id": new_id("pst"), **same, **asdict(line)} for line in draft.lines]
    connection = db.connection()
    connection.exec_driver_sql(_SQLITE, entries)
    connection.execute(insert(LedgerTransaction), transactions)
    connection.execute(insert(Posting), postings)
    return len(postings)


def _entry(draft: Draft, entry_id: str, tag: Tag, facts: dict[str, object]) -> tuple[str | bytes | None, ...]:
    at, subject = timestamp(draft.at), (draft.dims.asset, draft.dims.version, draft.dims.agreement)
    body = _body(entry_id, tag, at, (SERVICE, None, None), subject, facts)
    return (entry_id, tag.value, SERVICE, at.replace("T", " ").removesuffix("Z"), *subject, body)


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
