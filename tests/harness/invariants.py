"""One checker of the invariants I1-I13 that shares no code with the service: plain SQL and its own hashing.

`python -m tests.harness.invariants DATABASE_URL --signer FOLDER --witness FOLDER [--journal FILE] [--settled]`
It reads the database in one transaction and may run beside a working service.  A violation reads `I9 …`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.harness.journal import TABLES, Journal, one_effect, still_there
from tests.harness.proofs import head_of, leaf_of, note_holds, tree_of
from tests.harness.store import Row, Store, moment, opened
from tests.harness.uses import WINDOW, Told, Uses

# Work is leased for two minutes and swept every ten seconds; a use is settled its lease and a sweep after its silence.
WORK_LIMIT = timedelta(seconds=120 + 30)
USE_LIMIT = timedelta(seconds=60 + 30)


@dataclass
class Checker:
    """Checks one store again and again; remembers what it has seen, because some things may only grow.

    url: database; signer, witness: their folders; window: bytes of a logged window.
    """

    url: str
    signer: Path
    witness: Path
    window: int = WINDOW
    use_limit: timedelta = USE_LIMIT
    notes: dict[int, str] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    judged: dict[tuple[str, str], bool] = field(default_factory=dict)
    leaves: int = 0

    def check(self, journal: Journal | None = None, *, settled: bool = False) -> list[str]:
        """Everything that does not hold now.

        settled: the service has been up and idle, so that nothing may wait any more.
        """
        # What was answered and signed is read first: the database must hold at least that.
        seen = journal.now() if journal is not None else Journal()
        heads = {name: _head(folder) for name, folder in (("signer", self.signer), ("witness", self.witness))}
        with opened(self.url) as store:
            rows = store.rows("SELECT id, tag, agreement, at, body, leaf_index FROM entry ORDER BY id")
            entries = [_told(row) for row in rows]
            found = list(self._log(store, rows, heads, seen, settled=settled))
            found += self._books(store)
            found += Uses(store, entries, self.judged).check(seen, self.window)
            found += self._epochs(store)
            found += self._work(store, settled=settled)
            found += _journal(store, seen, rows)
        return sorted(set(found))

    def _log(
        self, store: Store, rows: list[Row], heads: dict[str, tuple[int, bytes] | None], seen: Journal, *, settled: bool
    ) -> Iterator[str]:
        """I3 and I4: the tree is made of the entries, and everything that was ever signed is a state of it."""
        numbered = sorted((row for row in rows if row["leaf_index"] is not None), key=lambda row: row["leaf_index"])
        if [row["leaf_index"] for row in numbered] != list(range(len(numbered))):
            yield "I3 the leaf numbers have a gap or a double"
        leaves = [leaf_of(bytes(row["body"])) for row in numbered]
        tiles = store.values('SELECT hashes FROM log_tile WHERE level = 0 ORDER BY "index"')
        if b"".join(bytes(one) for one in tiles) != b"".join(leaves):
            yield "I3 the stored tree is not made of the entries"
        if len(leaves) < self.leaves:
            yield f"I3 the log has shrunk from {self.leaves} to {len(leaves)} leaves"
        self.leaves = len(leaves)
        if settled and len(numbered) != len(rows):
            yield f"I3 {len(rows) - len(numbered)} entries wait although nothing is left to do"
        self.notes |= {row["size"]: row["note"] for row in store.rows("SELECT size, note FROM log_checkpoint")}
        yield from self._signed_heads(leaves, heads, seen)

    def _signed_heads(
        self, leaves: list[bytes], heads: dict[str, tuple[int, bytes] | None], seen: Journal
    ) -> Iterator[str]:
        keys = {name: (folder / "verifier.key").read_text() for name, folder in self._folders().items()}
        notes = [*self.notes.values(), *seen.checkpoints]
        signed = {(size, root, f"checkpoint {size}") for size, root in map(head_of, notes)}
        signed |= {(*head, f"head of the {name}") for name, head in heads.items() if head is not None}
        roots = tree_of(leaves, {size for size, _, _ in signed})
        for size, root, name in signed:
            if size > len(leaves):
                yield f"I3 the {name} covers {size} leaves, the log has {len(leaves)}"
            elif roots[size] != root:
                yield f"I4 the {name} at {size} leaves is of another history"
        for note in notes:
            for name, key in keys.items():
                if not self._holds(note, key):
                    yield f"I4 checkpoint {head_of(note)[0]} lacks the signature of the {name}"
        for name, head in heads.items():
            if head is None:
                yield f"I4 the {name} has no readable head"

    def _holds(self, note: str, key: str) -> bool:
        if (note, key) not in self.judged:
            self.judged[note, key] = note_holds(note, key)
        return self.judged[note, key]

    def _folders(self) -> dict[str, Path]:
        return {"signer": self.signer, "witness": self.witness}

    def _books(self, store: Store) -> Iterator[str]:
        """I5: everything sums to zero, each cause is posted once, and each transaction is told by an entry."""
        sums = "SELECT transaction_id, owner, currency, SUM(amount_minor) AS total FROM posting "
        for row in store.rows(sums + "GROUP BY transaction_id, owner, currency HAVING SUM(amount_minor) <> 0"):
            yield f"I5 {row['transaction_id']} leaves {row['total']} {row['currency']} with {row['owner']}"
        lost = "SELECT id FROM posting WHERE transaction_id NOT IN (SELECT id FROM ledger_transaction)"
        for name in store.values(lost):
            yield f"I5 posting {name} has no transaction"
        twice = "SELECT meter_event FROM ledger_transaction WHERE meter_event IS NOT NULL AND reverses IS NULL "
        twice += "AND id NOT IN (SELECT reverses FROM ledger_transaction WHERE reverses IS NOT NULL) "
        for name in store.values(twice + "GROUP BY meter_event HAVING COUNT(*) > 1"):
            yield f"I5 {name} was posted twice"
        told = {
            json.loads(body)["facts"]["transaction"]
            for body in store.values("SELECT body FROM entry WHERE tag = 'ledger:posted'")
        }
        posted = set(store.values("SELECT id FROM ledger_transaction"))
        for name in sorted(told ^ posted):
            yield f"I5 {name} is in the {'log' if name in told else 'books'} only"
        wrong = (
            "SELECT t.id FROM ledger_transaction t JOIN meter_event m ON m.id = t.meter_event WHERE t.reverses IS NULL "
            "AND (t.quantity <> m.quantity "
            "OR (m.unit_price_fen IS NOT NULL AND t.unit_price_minor <> m.unit_price_fen))"
        )
        for name in store.values(wrong):
            yield f"I13 {name} was posted at another quantity or price than was metered"

    def _epochs(self, store: Store) -> Iterator[str]:
        """I12: epochs only grow, and no open use stands on an older one without having been stopped."""
        now = {row["subject"]: row["number"] for row in store.rows("SELECT subject, number FROM epoch")}
        for subject, number in self.epochs.items():
            if now.get(subject, -1) < number:
                yield f"I12 the epoch of {subject} fell from {number} to {now.get(subject)}"
        self.epochs = now

    def _work(self, store: Store, *, settled: bool) -> Iterator[str]:
        """I10: no work is given up, and none that is due stands still for longer than a lease and a sweep."""
        now = datetime.now(UTC)
        for row in store.rows("SELECT id, task, due_at, given_up_at, last_error FROM outbox WHERE done_at IS NULL"):
            if row["given_up_at"] is not None:
                yield f"I10 {row['task']} {row['id']} was given up: {row['last_error']}"
            due = moment(row["due_at"])
            if due is not None and due < now - (timedelta(seconds=5) if settled else WORK_LIMIT):
                yield f"I10 {row['task']} {row['id']} was due at {due:%H:%M:%S}: {row['last_error']}"
        for row in store.rows("SELECT id, lease_until FROM transfer WHERE state = 'open'"):
            lease = moment(row["lease_until"])
            if lease is not None and lease < now - self.use_limit:
                yield f"I10 {row['id']} is open, its lease ended at {lease:%H:%M:%S}"


def _told(row: Row) -> Told:
    at = moment(row["at"])
    assert at is not None
    return Told(row["id"], row["tag"], row["agreement"], at, json.loads(bytes(row["body"]))["facts"])


def _head(folder: Path) -> tuple[int, bytes] | None:
    with suppress(OSError, ValueError, KeyError):
        held = json.loads((folder / "state.json").read_bytes())
        return int(held["size"]), bytes.fromhex(held["root"])
    return None


def _journal(store: Store, seen: Journal, rows: list[Row]) -> list[str]:
    if not seen.answers and not seen.streams:
        return []
    import hashlib

    kept = {
        hashlib.sha256(bytes(row["body"])).hexdigest(): (row["status"], bytes(row["body"]))
        for row in store.rows("SELECT status, body FROM idempotency")
    }
    known = {table: set(store.values(f"SELECT id FROM {table}")) for table in TABLES.values()}
    leaves = {row["id"]: leaf_of(bytes(row["body"])).hex() for row in rows}
    return [*one_effect(seen, kept), *still_there(seen, known, leaves)]


def main() -> int:
    parser = argparse.ArgumentParser(description="Check the invariants of a marketplace's database.")
    parser.add_argument("url", help="sqlite:///path or postgresql://…")
    parser.add_argument("--signer", type=Path, required=True)
    parser.add_argument("--witness", type=Path, required=True)
    parser.add_argument("--journal", type=Path, help="what clients received, as JSON lines")
    parser.add_argument("--settled", action="store_true", help="the service was up and idle: nothing may wait")
    asked = parser.parse_args()
    journal = Journal.read(asked.journal) if asked.journal else None
    found = Checker(asked.url, asked.signer, asked.witness).check(journal, settled=asked.settled)
    print("\n".join(found) or "every invariant holds")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
