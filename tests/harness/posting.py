"""Workers that post metered events are killed at random; at the end every event is in the books exactly once.

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
from sqlmodel import select

from marketplace.costing import queries as costing
from marketplace.costing.models import MeterEvent
from marketplace.costing.rating import rate
from marketplace.costing.recheck import recheck
from marketplace.costing.service import post_events, post_pending
from marketplace.costing.tariffs import tariff_book
from marketplace.ledger import queries
from marketplace.ledger.accounts import posting_rules
from marketplace.ledger.auditing import audit
from marketplace.plumbing.db import Database
from marketplace.plumbing.migrations import migrate
from tests.benchmarks.metered import START, fill
from tests.harness.running import kill

ROOT = Path(__file__).resolve().parents[2]
NOW = START + timedelta(days=30)
PAGE = 25
# Within a page, wherever it is then.
PAUSE = (0, 0.03)


def work(url: str, bug: bool) -> None:
    """What a worker does: a page in a transaction of its own, until nothing waits; says `ready` before the first."""
    database = Database(url)
    print("ready", flush=True)
    while (_forgetful(database) if bug else _page(database)) or _waiting(database):
        pass


def _page(database: Database) -> int:
    with database.transaction() as db:
        return post_pending(db, NOW, limit=PAGE).posted


def _forgetful(database: Database) -> int:
    """The planted bug: what waits is forgotten in one transaction and posted in the next."""
    with database.transaction() as db:
        events = costing.take_waiting(db, after="", before=None, limit=PAGE)
        costing.forget_waiting(db, [one.id for one in events])
    time.sleep(0.05)
    with database.transaction() as db:
        return post_events(db, events, NOW).posted


def _waiting(database: Database) -> int:
    with database.reading() as db:
        return int(db.connection().execute(text("SELECT count(*) FROM meter_waiting")).scalar_one())


@dataclass
class Run:
    """One run on one database."""

    url: str
    events: int
    kills: int
    workers: int
    dice: random.Random
    bug: bool = False
    killed: int = 0
    _running: list[subprocess.Popen[str]] = field(default_factory=list)

    def go(self) -> list[str]:
        """Fill, let workers post and die, let the last ones finish; returns what is wrong."""
        database = Database(self.url)
        try:
            migrate(database)
            fill(database, self.events)
            for number in range(self.kills):
                self._start()
                left = self.events * (1 - (number + self.dice.random()) / (self.kills + 1))
                while _waiting(database) > left:
                    time.sleep(0.002)
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

    def _start(self) -> None:
        command = [sys.executable, "-m", "tests.harness.posting", "--work", self.url]
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
    """What is lost, doubled, or another amount than rating each event alone gives."""
    found = []
    with database.reading() as db:
        transactions, _ = queries.counts(db)
        if transactions != events:
            found.append(f"{events} events led to {transactions} transactions")
        found += [f"{one.key}: {one.detail}" for one in recheck(db) if one.table == "meter_waiting"]
        found += [f"{one.table} {one.key}: {one.detail}" for one in audit(db).findings]
        sums: Counter[tuple[str, str, str]] = Counter()
        for event in db.exec(select(MeterEvent).execution_options(yield_per=500)):
            for line in rate(event, posting_rules().rule(event.kind), tariff_book()).lines:
                sums[line.owner, line.account, line.currency] += line.amount_minor
        held = {(one.owner, one.account, one.currency): one.amount_minor for one in queries.balances(db)}
        for key in sums.keys() | held.keys():
            if sums[key] != held.get(key, 0):
                found.append(f"{key} holds {held.get(key, 0)}, the events come to {sums[key]}")
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
    asked = parser.parse_args()
    if asked.work:
        work(asked.work, asked.seeded_bug)
        return 0
    with tempfile.TemporaryDirectory(prefix="posting-") as folder:
        url = asked.url or f"sqlite:///{folder}/books.sqlite3"
        size = {"events": asked.events, "kills": asked.kills, "workers": asked.workers, "seed": asked.seed}
        result = figures(url, **size, bug=asked.seeded_bug)
    print(json.dumps(result, ensure_ascii=False, indent=None if asked.json else 1))
    return 1 if result["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
