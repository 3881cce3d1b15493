"""Workers that post and bill metered events are killed at random; every event ends in the books and on a bill once.

`python -m tests.harness.posting [--events 20000] [--kills 20] [--workers 2] [--seed N] [--url URL] [--json]
[--seeded-bug]`
Prints seed, kills, violations; exit code 1 for any.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlmodel import Session, col, func, select

from marketplace.costing import queries as costing
from marketplace.costing.models import MeterEvent
from marketplace.costing.rating import rate
from marketplace.costing.recheck import recheck
from marketplace.costing.service import PAGE as LARGE_PAGE
from marketplace.costing.service import post_events, post_pending
from marketplace.costing.tariffs import tariff_book
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.ledger import queries
from marketplace.ledger.accounts import posting_rules
from marketplace.ledger.auditing import audit
from marketplace.plumbing.db import Database
from marketplace.plumbing.migrations import migrate
from marketplace.settlement import billing
from marketplace.settlement import queries as settlement
from marketplace.settlement.models import Invoice, InvoiceLine
from marketplace.settlement.rules import number_of
from tests.benchmarks.metered import MONTH, START, fill
from tests.harness.running import kill

ROOT = Path(__file__).resolve().parents[2]
NOW = START + timedelta(days=30)
PAGE = 25
# From so many events on, the page of the service, and a rarer look at what is left.
MANY = 20_000
# Within a page, wherever it is then.
PAUSE = (0, 0.03)


def work(url: str, bug: bool, page: int) -> None:
    """What a worker does, each page and each invoice in a transaction of its own; says `ready` before the first."""
    database = Database(url)
    print("ready", flush=True)
    while (_forgetful(database) if bug else _page(database, page)) or _count(database, "meter_waiting"):
        pass
    with database.reading() as db:
        waiting = settlement.to_bill(db, NOW, minimum_of=MONTH)
    for issuer, buyer in waiting:
        with database.transaction() as db:
            billing.issue(db, SERVICE_ACTOR, issuer, buyer, NOW, month=MONTH)


def _page(database: Database, size: int) -> int:
    with database.transaction() as db:
        return post_pending(db, NOW, limit=size).posted


def _forgetful(database: Database) -> int:
    """The planted bug: what waits is forgotten in one transaction and posted in the next."""
    with database.transaction() as db:
        events = costing.take_waiting(db, after="", before=None, limit=PAGE)
        costing.forget_waiting(db, [one.id for one in events])
    time.sleep(10 * PAUSE[1])  # a kill, which comes within PAUSE of what it saw, comes before the second one
    with database.transaction() as db:
        return post_events(db, events, NOW).posted


def _count(database: Database, table: str) -> int:
    with database.reading() as db:
        return int(db.connection().execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


@dataclass
class Run:
    """One run on one database."""

    url: str
    events: int
    kills: int
    workers: int
    dice: random.Random = field(default_factory=random.Random)
    bug: bool = False
    killed: int = 0
    _running: list[subprocess.Popen[str]] = field(default_factory=list)

    def go(self) -> list[str]:
        """Fill, let workers post, bill and die, let the last ones finish; returns what is wrong."""
        database = Database(self.url)
        try:
            migrate(database)
            fill(database, self.events)
            for number in range(self.kills):
                self._start()
                left = 2 * self.events * (1 - (number + self.dice.random()) / (self.kills + 1))
                while self._left_now(database) > left and any(one.poll() is None for one in self._running):
                    pass
                time.sleep(self.dice.uniform(*PAUSE))
                self._kill_one()
            self._start()
            for one in self._running:
                one.wait()
            return violations(database, self.events)
        finally:
            for one in self._running:
                kill(one.pid)
            database.dispose()

    def _left_now(self, database: Database) -> int:
        """As `_left`, rested from: while somebody reads, the workers' write-ahead log cannot begin anew, and grows."""
        began = time.monotonic()
        left = self._left(database)
        time.sleep(0.002 if self.events < MANY else max(0.1, 10 * (time.monotonic() - began)))
        return left

    def _left(self, database: Database) -> int:
        """What is still to do: every event is posted, then billed."""
        waiting = _count(database, "meter_waiting")
        return waiting + self.events - (0 if waiting else _count(database, "invoice_line"))

    def _start(self) -> None:
        command = [sys.executable, "-m", "tests.harness.posting", "--work", self.url]
        command += ["--page", str(PAGE if self.events < MANY else LARGE_PAGE)]
        command += ["--seeded-bug"] if self.bug else []
        self._running = [one for one in self._running if one.poll() is None]
        while len(self._running) < self.workers:
            one = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            assert one.stdout is not None
            with one.stdout:
                one.stdout.readline()
            self._running.append(one)

    def _kill_one(self) -> None:
        victim = self.dice.choice(self._running)
        if victim.poll() is None and kill(victim.pid):
            victim.wait()
            self.killed += 1


def violations(database: Database, events: int) -> list[str]:
    """What is lost, doubled, or another amount than rating each event alone gives, in the books and on the bills."""
    found, charged = list[str](), Counter[str]()
    with database.reading() as db:
        transactions, _ = queries.counts(db)
        if transactions != events:
            found.append(f"{events} events led to {transactions} transactions")
        found += [f"{one.key}: {one.detail}" for one in recheck(db) if one.table == "meter_waiting"]
        found += [f"{one.table} {one.key}: {one.detail}" for one in audit(db).findings]
        sums: Counter[tuple[str, str, str]] = Counter()
        for event in db.exec(select(MeterEvent).execution_options(yield_per=500)):
            draft = rate(event, posting_rules().rule(event.kind), tariff_book())
            charged[event.payer_id] += draft.quantity * (draft.unit_price_minor or 0)
            for line in draft.lines:
                sums[line.owner, line.account, line.currency] += line.amount_minor
        held = {(one.owner, one.account, one.currency): one.amount_minor for one in queries.balances(db)}
        for key in sums.keys() | held.keys():
            if sums[key] != held.get(key, 0):
                found.append(f"{key} holds {held.get(key, 0)}, the events come to {sums[key]}")
        return found + _misbilled(db, events, charged)


def _misbilled(db: Session, events: int, charged: Counter[str]) -> list[str]:
    bills = db.exec(select(Invoice).order_by(col(Invoice.number))).all()
    lines = db.exec(select(func.count()).select_from(InvoiceLine)).one()
    found = [f"{events} events led to {lines} lines"] if lines != events else []
    billed = Counter[str]()
    for bill in bills:
        billed[bill.buyer_id] += bill.total_fen
    wrong = [buyer for buyer in charged.keys() | billed.keys() if charged[buyer] != billed[buyer]]
    found += [f"{one} was billed {billed[one]}, its events come to {charged[one]}" for one in wrong]
    numbers = [number_of("invoice", NOW.year, place) for place in range(1, len(bills) + 1)]
    if [one.number for one in bills] != numbers:
        found.append(f"the numbers of {len(bills)} invoices have gaps")
    return found


def figures(url: str, *, events: int, kills: int, workers: int, seed: int, bug: bool = False) -> dict[str, Any]:
    run = Run(url, events, kills, workers, random.Random(seed), bug)
    wrong = run.go()
    return {"seed": seed, "events": events, "kills": run.killed, "violations": len(wrong), "first": wrong[:10]}


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill workers that post; no event may be lost or doubled.")
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--url", default="", help="an empty database; default: SQLite in a folder of its own")
    parser.add_argument("--seeded-bug", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--work", default="", help=argparse.SUPPRESS)
    parser.add_argument("--page", type=int, default=PAGE, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        work(asked.work, asked.seeded_bug, asked.page)
        return 0
    with tempfile.TemporaryDirectory(prefix="posting-") as folder:
        url = asked.url or f"sqlite:///{folder}/books.sqlite3"
        size = {"events": asked.events, "kills": asked.kills, "workers": asked.workers, "seed": asked.seed}
        result = figures(url, **size, bug=asked.seeded_bug)
    print(json.dumps(result, ensure_ascii=False, indent=None if asked.json else 1))
    return 1 if result["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
