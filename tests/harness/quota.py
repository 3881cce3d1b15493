"""Hammering one quota: exactly the limit is granted, whoever asks how often at once (goal G3, invariant I6).

`python -m tests.harness.quota [--attempts 20000] [--processes 4] [--threads 64] [--only sqlite|postgresql]`
`[--seeded-bug] [--json] [--seed N]`
Every attempt is a use as over HTTP: facts, policy, one transaction that reserves and records.  A granted one serves
its bytes and is settled; every tenth gives back what it reserved, unserved.  `--seeded-bug`: the reservation trusts
what the decision has read a moment before (check, then act).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col, func, select

from marketplace.audit.entry import Tag
from marketplace.audit.models import Entry
from marketplace.costing.models import MeterEvent
from marketplace.transfer import opening
from marketplace.transfer.models import Transfer
from marketplace.transfer.opening import Download, Opened, Refused
from marketplace.transfer.stream import WindowSource
from marketplace.usage import quotas
from marketplace.usage.models import UsageQuota
from marketplace.usage.rules import Limits, UseRequest
from tests.harness import crowd
from tests.house import House
from tests.servers import initdb_path, postgresql
from tests.usage.agreed import uses

AGREEMENT = crowd.agreement_id(1)
SIZE = 2048
GIVEN_BACK = 0.1
SHARE = 20  # one attempt in so many may be granted


@dataclass
class Finding:
    """What one database did.  counts: outcomes of the attempts; violations: what must not be, in words."""

    database: str
    attempts: int
    limit: int
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0
    samples: int = 0
    violations: list[str] = field(default_factory=list)


def hammer(database: str, folder: Path, url: str, options: argparse.Namespace) -> Finding:
    """Run every attempt against one fresh database and look at what is left."""
    limit = max(1, options.attempts // SHARE)
    policy = uses(count=limit, volume=limit * (SIZE + 10_240), duties=())
    crowd.arrange(folder, url, agreements=1, size=SIZE, policy=policy, price=700)
    found = Finding(database, options.attempts, limit)
    with crowd.enter(folder, url) as house, _Sampler(house, found):
        began = time.monotonic()
        found.counts = _all_attempts(folder, url, options)
        found.seconds = time.monotonic() - began
    with crowd.enter(folder, url) as house:
        _check(house, found)
    return found


def _all_attempts(folder: Path, url: str, options: argparse.Namespace) -> Counter[str]:
    context = multiprocessing.get_context("spawn")
    shares = [
        options.attempts // options.processes + (at < options.attempts % options.processes)
        for at in range(options.processes)
    ]
    threads = max(1, options.threads // options.processes)
    work = [
        (folder, url, share, threads, options.seed + at, options.seeded_bug) for at, share in enumerate(shares) if share
    ]
    with context.Pool(len(work)) as pool:
        return sum(pool.starmap(_attempts, work), Counter())


def _attempts(folder: Path, url: str, share: int, threads: int, seed: int, naive: bool) -> Counter[str]:
    """A process's share of the attempts."""
    if naive:
        opening._reserve = _trusting  # the bug that must be caught
    dice = random.Random(seed)
    gives_back = [dice.random() < GIVEN_BACK for _ in range(share)]
    with crowd.enter(folder, url) as house, ThreadPoolExecutor(threads) as pool:
        return Counter(pool.map(lambda back: _attempt(house, back), gives_back))


def _attempt(house: House, gives_back: bool) -> str:
    runtime, actor = house.runtime, house.cast["pharma"].actor
    asked = Download(AGREEMENT, UseRequest(crowd.PURPOSE))
    try:
        match opening.open_transfer(runtime, actor, asked, runtime.clock.now()):
            case Refused() as refused:
                return "refused:" + ",".join(refused.decision.reasons)
            case Opened() as opened:
                source = WindowSource(runtime, actor, opened)
                while not gives_back and source.next() is not None:
                    pass
                source.close()
                return "given_back" if gives_back else "served"
            case _:
                return "error:range"
    except Exception as error:  # noqa: BLE001 - counted, and a violation
        return f"error:{type(error).__name__}"


def _trusting(db: Session, agreement: Any, use: UseRequest, ruling: Any) -> bool:
    """The policy looked at the quota when it decided, so it is just written down."""
    quotas.hold(db, agreement.id, Limits(None, None))
    db.exec(
        update(UsageQuota)
        .where(col(UsageQuota.agreement_id) == agreement.id)
        .values(uses_reserved=UsageQuota.uses_reserved + use.uses, bytes_reserved=UsageQuota.bytes_reserved + use.bytes)
    )
    return True


class _Sampler:
    """Looks again and again, in one snapshot each time, whether more is granted than there is."""

    def __init__(self, house: House, found: Finding) -> None:
        self._house, self._found = house, found
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        worst = 0
        while not self._done.wait(0.05):
            with self._house.runtime.database.reading() as db:
                worst = max(worst, _taken(db))
            self._found.samples += 1
        if worst > self._found.limit:
            self._found.violations.append(f"{worst} uses were granted at one moment, {self._found.limit} exist")


def _taken(db: Session) -> int:
    """Uses that are counted or under way, told from the transfers and not from the quota."""
    served = select(func.count()).where(col(Transfer.uses) > 0)
    under_way = select(func.count()).where(Transfer.state == "open", col(Transfer.leg_uses) > 0, Transfer.uses == 0)
    return db.exec(select(served.scalar_subquery() + under_way.scalar_subquery())).one()


def _check(house: House, found: Finding) -> None:
    """Quota, entries and meter must say the same."""
    counts = found.counts
    granted = counts["served"] + counts["given_back"]
    with house.runtime.database.reading() as db:
        row = db.get(UsageQuota, AGREEMENT) or UsageQuota(agreement_id=AGREEMENT)
        tags = dict(db.exec(select(Entry.tag, func.count()).group_by(Entry.tag)).all())
        metered = db.exec(select(func.count()).select_from(MeterEvent)).one()
        sent = db.exec(select(func.coalesce(func.sum(Transfer.served), 0))).one()
    expected = {
        "attempts answered": (found.attempts, counts.total()),
        "errors": (0, sum(count for name, count in counts.items() if name.startswith("error"))),
        "uses served": (found.limit, counts["served"]),
        "uses settled": (found.limit, row.uses_settled),
        "uses reserved at the end": (0, row.uses_reserved),
        "bytes reserved at the end": (0, row.bytes_reserved),
        "bytes settled": (sent, row.bytes_settled),
        "entries of allowed uses": (granted, tags.get(Tag.USE_ALLOWED, 0)),
        "entries of refused uses": (found.attempts - granted, tags.get(Tag.USE_REFUSED, 0)),
        "entries of closed transfers": (granted, tags.get(Tag.TRANSFER_CLOSED, 0)),
        "uses metered": (found.limit, metered),
    }
    for what, (wanted, got) in expected.items():
        if wanted != got:
            found.violations.append(f"{what}: {got} instead of {wanted}")


def run(options: argparse.Namespace) -> list[Finding]:
    """Hammer each database that this machine has."""
    findings = []
    with tempfile.TemporaryDirectory(prefix="quota-") as folder:
        if options.only != "postgresql":
            findings.append(hammer("sqlite", Path(folder) / "sqlite", "", options))
        if options.only != "sqlite" and initdb_path() is not None:
            with postgresql() as url:
                findings.append(hammer("postgresql", Path(folder) / "postgresql", url, options))
    return findings


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--attempts", type=int, default=20_000)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--threads", type=int, default=64, help="of all processes together")
    parser.add_argument("--only", choices=["sqlite", "postgresql"])
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--seeded-bug", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    findings = run(options)
    sound = not any(found.violations for found in findings) and bool(findings)
    if options.json:
        told = {"name": "quota", "seed": options.seed, "findings": [one.__dict__ for one in findings], "met": sound}
        print(json.dumps(told))
    else:
        print(f"quota: seed {options.seed}, {options.processes} processes, {options.threads} threads")
        for one in findings:
            counts = ", ".join(f"{name} {count}" for name, count in sorted(one.counts.items()))
            print(f"  {one.database}: {one.attempts} attempts for {one.limit} uses in {one.seconds:.1f} s: {counts}")
            print(f"  {one.database}: {one.samples} samples, {len(one.violations)} violations")
            for words in one.violations:
                print(f"    VIOLATION {words}")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
