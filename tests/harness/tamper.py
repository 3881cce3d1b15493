"""Tampering made directly in the database and files of a finished log: every one must be named, and nothing else.

`python -m tests.harness.tamper [--mutations 1000] [--variants 100] [--seed N] [--processes 2] [--seeded-bug NAME]`
Shows goal G9 and threats T5-T8, T10, T11.  Each mutation is made on a copy of its own, then what `audit fsck` does
looks at it, with the public keys and with the heads that signer and witness hold, and no checkpoint kept elsewhere;
the start-up guard as well, where it is the one that must refuse.  The untouched variants are snapshots taken between
the steps of ordinary work.  `--seeded-bug rows` leaves the rows unchecked, `columns` the columns of the entries.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from marketplace.audit import fsck as log_check
from marketplace.audit.client import LogKeys, PeerState, public_keys
from marketplace.audit.fsck import fsck
from marketplace.audit.guard import check_not_behind
from marketplace.audit.heldstate import HeldState
from marketplace.audit.note import VerifierKey
from marketplace.audit.outside import heads
from marketplace.commands import recheck as rooms
from marketplace.kernel.errors import DomainError
from marketplace.plumbing.db import Database
from marketplace.plumbing.storage import FolderStore
from marketplace.settings import Settings
from tests.harness.mutations import CLASSES, Case
from tests.harness.ordinary import snapshots
from tests.harness.world import prepare

# What a check found, as (kind of thing, its name): ("entry", id), ("leaf", "17"), (table, key), ("guard", words) …
Tokens = set[tuple[str, str]]


@dataclass(frozen=True)
class Verdict:
    """What became of one mutation.  found: nothing was found, something was, or the very thing was named."""

    number: int
    kind: str
    detail: str
    named: bool
    found: list[tuple[str, str]]


class Desk:
    """A folder with `market.sqlite3`, `log-signer`, `witness` and `objects`, filled anew for each look.

    One engine serves all looks, so that its statements are compiled once.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(data_folder=folder)
        self.database = Database(self.settings.effective_database_url)

    def lay(self, source: Path, *, objects: bool = False) -> None:
        """Copies of everything in a snapshot."""
        self.database.dispose()
        for one in self.folder.iterdir():
            shutil.rmtree(one) if one.is_dir() else one.unlink()
        for name in ("log-signer", "witness", *(("objects",) if objects else ())):
            shutil.copytree(source / name, self.folder / name)
        shutil.copy(source / "market.sqlite3", self.folder / "market.sqlite3")

    def check(self, source: Path, *, objects: bool = False, rows: bool = True, guard: bool = True) -> Tokens:
        """What the guard, `audit fsck` and the re-check of rows find, with the keys from the snapshot."""
        keys = public_keys(Settings(data_folder=source))
        held = list(heads(self.settings))
        found = _guard(self.folder, self.database, keys) if guard else set()
        try:
            with self.database.reading() as db:
                for one in fsck(db, keys=keys, heads=held).findings:
                    found |= {("kind", one.kind), ("detail", one.detail)}
                    found |= {("leaf", str(one.index))} if one.index is not None else set()
                    found |= {("entry", one.entry)} if one.entry is not None else set()
                store = FolderStore(self.folder / "objects") if objects else None
                for row in rooms.recheck(db, store) if rows else ():
                    found |= {(row.table, str(row.key)), ("kind", row.kind), ("detail", row.detail)}
        except (DomainError, ValueError) as error:
            found.add(("guard", f"{type(error).__name__}: {error}"))
        return found


@dataclass(frozen=True)
class _Folder:
    """Signer or witness as the guard asks it, answering from its folder."""

    folder: Path
    known: VerifierKey

    def state(self) -> PeerState:
        origin = str(json.loads((self.folder / "state.json").read_text())["origin"])
        held = HeldState(self.folder, origin)
        try:
            return PeerState(origin, held.head(), str(held.key(self.known.name, self.known.kind).verifier))
        finally:
            held.close()


def _guard(folder: Path, database: Database, keys: LogKeys) -> Tokens:
    """What the start-up guard says, with the heads that the two folders hold."""
    signer, witness = _Folder(folder / "log-signer", keys.log), _Folder(folder / "witness", keys.witness)
    try:
        log: Any = SimpleNamespace(signer=signer, witness=witness, keys=keys)
        check_not_behind(database, log)
    except (DomainError, OSError, ValueError) as error:
        return {("guard", f"{type(error).__name__}: {error}")}
    return set()


FOLDER = "MARKETPLACE_TAMPER_FOLDER"


@contextmanager
def room() -> Iterator[None]:
    """A folder for the desks of this process and its workers, in memory where the machine has some for it."""
    where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="tamper-", dir=where) as folder:
        os.environ[FOLDER] = folder
        desk.cache_clear()
        yield


@cache
def desk() -> Desk:
    """The desk of this process."""
    folder = Path(os.environ[FOLDER]) / str(os.getpid())
    folder.mkdir()
    return Desk(folder)


BUGS = ("rows", "columns")
"""Planted: the rows, or the columns of the entries, are not checked."""


@contextmanager
def planted(bug: str) -> Iterator[None]:
    """A check that leaves something out."""
    before = log_check._column_findings
    if bug == "columns":
        log_check._column_findings = lambda _row: []
    try:
        yield
    finally:
        log_check._column_findings = before


def judge(number: int, kind: str, seed: int, world: Path, *, bug: str = "") -> Verdict:
    """Make one mutation on a fresh copy and look at it."""
    desk().lay(world / "final", objects=kind == "object")
    case = Case(desk().folder, world, random.Random(f"{seed}/{number}"))
    wanted = CLASSES[kind](case)
    case.db.close()
    with planted(bug):
        found = desk().check(world / "final", objects=kind == "object", rows=bug != "rows", guard="guard" in wanted)
    named = bool(wanted & {one[0] for one in found}) or bool(wanted & found)
    return Verdict(number, kind, case.detail, named, sorted(found)[:6])


def _one(job: tuple[int, str, int, Path, str]) -> Verdict:
    number, kind, seed, world, bug = job
    return judge(number, kind, seed, world, bug=bug)


def _untouched(job: tuple[Path, str]) -> tuple[str, list[tuple[str, str]]]:
    snapshot, bug = job
    desk().lay(snapshot)
    return snapshot.name, sorted(desk().check(snapshot, rows=bug != "rows"))


def run(world: Path, *, mutations: int, seed: int, processes: int, bug: str = "") -> dict[str, Any]:
    """Every class in turn, then the untouched variants; returns figures and what was missed."""
    kinds = list(CLASSES)
    jobs = [(number, kinds[number % len(kinds)], seed, world, bug) for number in range(mutations)]
    untouched = [(one, bug) for one in sorted((world / "variants").iterdir())]
    began = time.monotonic()
    with room(), multiprocessing.get_context("spawn").Pool(processes) as pool:
        verdicts = pool.map(_one, jobs, chunksize=8)
        alarms = [one for one in pool.map(_untouched, untouched, chunksize=4) if one[1]]
    missed = [one for one in verdicts if not one.named]
    made: dict[str, Counter[str]] = defaultdict(Counter)
    for one in verdicts:
        made[one.kind]["made"] += 1
        made[one.kind]["named"] += one.named
    return {
        "seed": seed,
        "mutations": len(verdicts),
        "named": len(verdicts) - len(missed),
        "classes": {kind: dict(counted) for kind, counted in made.items()},
        "variants": len(untouched),
        "false_alarms": len(alarms),
        "seconds": round(time.monotonic() - began, 1),
        "missed": [asdict(one) for one in missed],
        "alarms": alarms[:10],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Tamper with a finished log; everything must be named.")
    parser.add_argument("--mutations", type=int, default=1000)
    parser.add_argument("--variants", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seeded-bug", nargs="?", const="rows", choices=BUGS, default="", help="must be reported")
    parser.add_argument("--world", type=Path, help="folder to keep the prepared world in, for several runs")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    print(f"tamper: seed {asked.seed}, {asked.mutations} mutations in {len(CLASSES)} classes", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="tamper-") as temporary:
        world = asked.world or Path(temporary)
        snapshots(prepare(world / "story"), world, count=asked.variants, seed=asked.seed)
        result = run(world, mutations=asked.mutations, seed=asked.seed, processes=asked.processes, bug=asked.seeded_bug)
    held = not result["missed"] and not result["alarms"]
    print(json.dumps(result, ensure_ascii=False, indent=None if asked.json else 1))
    print(f"{result['named']} of {result['mutations']} named, {result['false_alarms']} false alarms", file=sys.stderr)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
