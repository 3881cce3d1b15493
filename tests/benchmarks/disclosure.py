"""How fast the account of disclosures of one asset, or of one recipient, comes out of a large log (goal G29)."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from marketplace.audit import disclosure, tiles, tree
from marketplace.audit.disclosure import Asked
from marketplace.audit.entry import Tag
from marketplace.audit.models import Checkpoint
from marketplace.audit.tiles import StoredTree
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json, canonical
from marketplace.kernel.clock import timestamp
from marketplace.kernel.ids import new_id
from marketplace.plumbing.db import Database
from marketplace.plumbing.migrations import migrate
from tests.benchmarks.figures import Goal, Result, main

GOALS = {
    "asset_with_proofs_s": Goal("G29", at_most=5),
    "recipient_with_proofs_s": Goal("G29", at_most=5),
    "asset_csv_s": Goal("G29", at_most=5),
}
ROUNDS = 5
# A use of 20 entries: decided, 18 windows, closed.
WINDOWS = 18
PER_USE = WINDOWS + 2
ASSETS, BUYERS = 5, 5
PAGE = 20_000
START = datetime(2024, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 9, 1, tzinfo=UTC)
AUDITOR = Actor("prt_auditor", frozenset({"auditor"}))
INSERT = text(
    "INSERT INTO entry (id, tag, actor, at, asset, version, agreement, body, leaf_index) "
    "VALUES (:id, :tag, :actor, :at, :asset, :version, :agreement, :body, :leaf_index)"
)
FLOOR = text("SELECT body FROM entry WHERE asset = :asset AND tag = 'usage:allowed'")


def measure(options: argparse.Namespace) -> Result:
    """Fill a log, then report from it."""
    entries = 100_000 if options.quick else 1_000_000
    result = Result("disclosure", "", GOALS)
    with tempfile.TemporaryDirectory(prefix="bench-disclosure-") as folder:
        database = Database(f"sqlite:///{Path(folder) / 'market.sqlite3'}")
        try:
            migrate(database)
            _fill(database, entries)
            rows = _measure(database, result)
        finally:
            database.dispose()
    result.how = (
        f"{entries:,} entries on SQLite, {rows:,} of them uses of the asset asked for; every proof of the last report "
        f"checked against the root; medians of {ROUNDS}; floor: the same rows read and parsed by bare SQL"
    )
    return result


def _measure(database: Database, result: Result) -> int:
    report, seconds = _timed(lambda: _report(database, Asked(asset="ast_0")))
    _check(database, report)
    result.figures["asset_with_proofs_s"] = seconds
    result.figures["rows"] = len(report["items"])
    _, result.figures["recipient_with_proofs_s"] = _timed(lambda: _report(database, Asked(participant="prt_buyer_0")))
    _, result.figures["asset_csv_s"] = _timed(lambda: _csv(database))
    _, result.floor["asset_with_proofs_s"] = _timed(lambda: _bare(database))
    result.ratio["asset_with_proofs_s"] = round(seconds / result.floor["asset_with_proofs_s"], 1)
    return len(report["items"])


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """The last answer and the median of the seconds."""
    answer, seconds = None, []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        answer = work()
        seconds.append(time.perf_counter() - start)
    return answer, round(statistics.median(seconds), 4)


def _report(database: Database, asked: Asked) -> Json:
    with database.transaction() as db:
        return disclosure.report(db, AUDITOR, asked, NOW)


def _csv(database: Database) -> str:
    return disclosure.as_csv(_report(database, Asked(asset="ast_0", proofs=False))["items"])


def _bare(database: Database) -> int:
    with database.reading() as db:
        return sum(len(json.loads(body)) for (body,) in db.connection().execute(FLOOR, {"asset": "ast_0"}))


def _check(database: Database, report: Json) -> None:
    """Every row proves its entry, and none is missing."""
    with database.reading() as db:
        stored = StoredTree(db)
        size = stored.size
        root = stored.root(size)
        expected = db.connection().execute(FLOOR, {"asset": "ast_0"}).fetchall()
    assert len(report["items"]) == len(expected) > 0, "rows are missing"
    for row in report["items"]:
        proof = [bytes.fromhex(step) for step in row["evidence"]["proof"]]
        leaf = tree.leaf_hash(row["evidence"]["body"].encode())
        assert tree.verify_inclusion(leaf, row["index"], size, proof, root), f"leaf {row['index']} is not proven"


def _fill(database: Database, entries: int) -> None:
    """Entries as the transfer room writes them, numbered and in the tree, with a checkpoint over all."""
    page: list[dict[str, Any]] = []
    size = 0
    for row in _entries(entries):
        page.append(row)
        if len(page) == PAGE:
            size = _write(database, page, size)
            page = []
    size = _write(database, page, size)
    with database.transaction() as db:
        root = StoredTree(db).root(size).hex()
        db.add(Checkpoint(size=size, root=root, note="unsigned: reports do not read it", at=NOW))


def _write(database: Database, page: list[dict[str, Any]], size: int) -> int:
    if page:
        with database.transaction() as db:
            db.connection().execute(INSERT, page)
            tiles.grow(db, size, [tree.leaf_hash(row["body"]) for row in page])
    return size + len(page)


def _entries(count: int) -> Iterator[dict[str, Any]]:
    index = 0
    for buyer in range(BUYERS):
        facts: Json = {
            "participant": f"prt_buyer_{buyer}",
            "legal_name": f"Buyer {buyer}",
            "credit_code": f"{buyer:018}",
        }
        yield _entry(index, Tag.PARTICIPANT_ADMITTED, "prt_operator", facts)
        index += 1
    use = 0
    while index + PER_USE <= count:
        asset, buyer = f"ast_{use % ASSETS}", f"prt_buyer_{(use // ASSETS) % BUYERS}"
        agreement = f"agr_{use % (ASSETS * BUYERS * 4)}"
        transfer: Json = {"transfer": f"trf_{use:032}", "leg": 1}
        about = {"asset": asset, "version": f"ver_{asset}", "agreement": agreement}
        allowed = transfer | {"purpose": "statistics", "action": "use", "manifest": "ab" * 32, "sha256": "cd" * 32}
        yield _entry(index, Tag.USE_ALLOWED, buyer, allowed | {"facts": "ef" * 32, "reasons": []}, **about)
        for window in range(WINDOWS):
            served = transfer | {"offset": window << 20, "length": 1 << 20, "running_sha256": "12" * 32}
            yield _entry(index + 1 + window, Tag.WINDOW_SERVED, buyer, served, agreement=agreement)
        closed = transfer | {"outcome": "complete", "bytes": WINDOWS << 20, "sha256": "12" * 32}
        yield _entry(index + 1 + WINDOWS, Tag.TRANSFER_CLOSED, buyer, closed, **about)
        index += PER_USE
        use += 1


def _entry(index: int, tag: Tag, actor: str, facts: Json, **about: str) -> dict[str, Any]:
    at = START + timedelta(seconds=60 * index)
    subject = {name: about.get(name) for name in ("asset", "version", "agreement")}
    entry_id = new_id("ent")
    body: Json = {
        "v": 1,
        "id": entry_id,
        "tag": tag.value,
        "at": timestamp(at),
        "actor": {"participant": actor, "kid": "k" * 43, "person": None},
        "subject": subject,
        "facts": facts,
        "nonce": f"{index:032x}",
    }
    moment = at.strftime("%Y-%m-%d %H:%M:%S.%f")
    row = {"id": entry_id, "tag": tag.value, "actor": actor, "at": moment, "leaf_index": index}
    return row | subject | {"body": canonical(body)}


if __name__ == "__main__":
    main(measure)
