"""An older copy is brought back at random points: nothing is served, nothing is signed, until two have signed for it.

`python -m tests.harness.restore [--restores 10] [--seed N] [--seeded-bug] [--json]`
Shows goal G17, procedure P10, threats T6 to T8, fault F11.  Each restore puts an older database, an older folder of the
log signer or of the witness, or one without its head, into a copy of a finished market; then the service is started in
a process of its own and in this one.  Afterwards it is recovered and must serve again.  `--seeded-bug` starts without
the guard.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlmodel import select

from marketplace.audit import handover
from marketplace.audit.entry import Tag, record
from marketplace.audit.fsck import fsck
from marketplace.audit.heldstate import held_head
from marketplace.audit.models import Entry
from marketplace.audit.queries import latest_checkpoint
from marketplace.audit.statements import RECOVERY, OperatorSignature, StatementFile
from marketplace.audit.succession import effective, known_keys
from marketplace.client.api import ApiClient, in_process
from marketplace.client.problem import ProblemError
from marketplace.kernel.clock import StoryClock
from marketplace.kernel.errors import DomainError
from marketplace.settings import Settings
from marketplace.transfer.delivery import prepare
from tests.house import START, SeedParty, open_house
from tests.usage.agreed import agree, uses
from workers import instance as instances
from workers import recovery
from workers.instance import Instance, open_instance

DATA = "/v1/agreements/agr_1/data"
KINDS = ("database", "database", "database", "signer", "witness", "signer lost", "witness lost")


@dataclass(frozen=True)
class Shop:
    """A market with one agreement in force, and copies of it on the way.  copies: oldest first; the last is the end."""

    data: Path
    copies: list[Path]
    cast: dict[str, SeedParty]


@dataclass
class Outcome:
    """What one restore led to.  exit_code: of the service in a process of its own, None when it was not started."""

    kind: str
    point: int
    refused: str = ""
    exit_code: int | None = None
    grants: int = 0
    signed: int = 0
    recovered: bool = False
    trouble: str = ""

    @property
    def ok(self) -> bool:
        return bool(self.refused) and self.exit_code != 0 and not self.grants and not self.signed and self.recovered


def open_shop(folder: Path, *, points: int, dice: random.Random) -> Shop:
    """Some uses, with a copy of database and both folders after each."""
    data = folder / "data"
    with open_house(data) as house:
        agree(house, uses(count=None))
        prepare(house.runtime, "agr_1")
        cast = house.cast
        operator = cast["operator"]
        with house.db() as db:
            # A recovery counts only when the log knows the key of the operator who signed it.
            facts = {"participant": operator.id, "kid": operator.key.kid, "jwk": operator.key.public_jwk}
            record(db, operator.actor, Tag.KEY_REGISTERED, house.clock.now(), facts=facts)
    copies: list[Path] = []
    with open_instance(Settings(data_folder=data), StoryClock(START)) as opened:
        for number in range(points + 1):
            for _ in range(dice.randint(1, 3)):
                assert use(opened, cast) == 200
            settle(opened)
            copies.append(copy(data, folder / f"copy-{number:02d}"))
    return Shop(data, copies, cast)


def restore(shop: Shop, kind: str, point: int, folder: Path) -> Path:
    """A data folder as it ended, with one part from an earlier point or without its head."""
    data = folder / "data"
    shutil.copytree(shop.data, data, symlinks=True)
    (data / "log-sockets").unlink(missing_ok=True)
    end, earlier = shop.copies[-1], shop.copies[point]
    for name in ("log-signer", "witness"):
        shutil.rmtree(data / name)
        shutil.copytree(end / name, data / name)
    for leftover in data.glob("market.sqlite3*"):
        leftover.unlink()
    shutil.copy((earlier if kind == "database" else end) / "market.sqlite3", data / "market.sqlite3")
    part = {"signer": "log-signer", "witness": "witness"}.get(kind.split(maxsplit=1)[0])
    if part is not None and kind.endswith("lost"):
        (data / part / "state.json").unlink()
    elif part is not None:
        shutil.copy(earlier / part / "state.json", data / part / "state.json")
    return data


def attempt(shop: Shop, data: Path, found: Outcome) -> None:
    """Start and use it as it is."""
    before = heads(data)
    try:
        with open_instance(Settings(data_folder=data), StoryClock(START)) as opened:
            found.grants += use(opened, shop.cast) == 200
            time.sleep(1.2)
            found.grants += use(opened, shop.cast) == 200
    except DomainError as error:
        found.refused = error.slug
    found.signed = sum(after is not None and after != former for former, after in zip(before, heads(data), strict=True))


def start_alone(data: Path) -> int | None:
    """The exit code of `marketplace serve`; 0 when it still runs after a while."""
    command = [sys.executable, "-m", "marketplace", "serve", "--data", str(data), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        try:
            words = child.communicate(timeout=40)[1].decode().strip().splitlines()
        except subprocess.TimeoutExpired:
            child.terminate()
            return 0
    told = [line for line in words if line.startswith("marketplace: ")]
    return child.returncode if len(told) == 1 and "Traceback" not in " ".join(words) else 0


def recover(shop: Shop, data: Path, found: Outcome) -> None:
    """Both sign, the service goes on: nothing runs until the provider resumes, and then everything fits."""
    settings, clock = Settings(data_folder=data), StoryClock(START)
    said = recovery.prepare(settings, clock=clock)
    operator = shop.cast["operator"]
    jws = operator.key.sign_detached(said.body, typ=f"{RECOVERY}+jws")
    signature = OperatorSignature(participant=operator.id, jwk=operator.key.public_jwk, jws=jws)
    file = replace(StatementFile(said.body), operator=signature)
    file = handover.cosign_recovery(data / "witness", file, clock.now(), head_lost=found.kind == "witness lost")
    recovery.apply(settings, file, clock=clock)
    with open_instance(settings, clock) as opened:
        assert use(opened, shop.cast) == 403, "an agreement ran on without its provider's word"
        hospital = speak(opened, shop.cast["hospital"])
        declared = hospital.post("/v1/agreements/agr_1/resumption", {"reason": "checked"})["unsigned_acts"]
        for act in declared:
            hospital.post("/v1/agreements/agr_1/acts/signature", hospital.sign(act["document"], "agreement-act"))
        assert use(opened, shop.cast) == 200
        settle(opened)
        with opened.runtime.database.reading() as db:
            known = known_keys(db, effective(settings, opened.runtime.database))
            report = fsck(db, keys=known)
            assert report.sound, report.findings
            latest = latest_checkpoint(db)
            assert latest is not None
            assert latest.note.startswith(f"{said.new_origin}\n")
            assert db.exec(select(Entry.id).where(Entry.tag == Tag.LOG_RECOVERED)).all()
    found.recovered = True


def run(restores: int, seed: int, *, seeded_bug: bool = False, alone: bool = True) -> list[Outcome]:
    """The outcomes of some restores at random points."""
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="restore-") as folder, guard(off=seeded_bug):
        shop = open_shop(Path(folder) / "shop", points=min(restores, 10), dice=dice)
        found = [Outcome(KINDS[i % len(KINDS)], dice.randrange(len(shop.copies) - 1)) for i in range(restores)]
        for number, one in enumerate(found):
            data = restore(shop, one.kind, one.point, Path(folder) / f"{number:02d}")
            try:
                if alone and not seeded_bug:
                    one.exit_code = start_alone(data)
                attempt(shop, data, one)
                recover(shop, data, one)
            except (DomainError, AssertionError, ProblemError) as error:
                one.trouble = f"{type(error).__name__}: {error}"
    return found


def use(opened: Instance, cast: dict[str, SeedParty]) -> int:
    """The status of one use by the buyer."""
    try:
        with speak(opened, cast["pharma"]).stream(DATA, {"purpose": "model_training"}) as response:
            for _ in response.iter_bytes():
                pass
            return int(response.status_code)
    except ProblemError as problem:
        return problem.status


def speak(opened: Instance, party: SeedParty) -> ApiClient:
    runtime = opened.runtime
    url = runtime.settings.public_url
    return ApiClient(in_process(opened.app, url), url, party.id, party.key, runtime.clock)


def settle(opened: Instance) -> None:
    """Until everything written is under a cosigned checkpoint."""
    limit = time.monotonic() + 30
    while time.monotonic() < limit:
        with opened.runtime.database.reading() as db:
            latest = latest_checkpoint(db)
            waits = db.exec(select(Entry.id).where(Entry.leaf_index == None).limit(1)).first()  # noqa: E711
            last = db.exec(select(Entry.leaf_index).order_by(Entry.leaf_index.desc()).limit(1)).first()  # type: ignore[union-attr]
        if waits is None and latest is not None and last is not None and latest.size == last + 1:
            return
        time.sleep(0.05)
    raise AssertionError("the log did not come to rest")


def copy(data: Path, target: Path) -> Path:
    """A backup as an operator makes it: the database by its own backup call, the folders file by file."""
    target.mkdir()
    for name in ("log-signer", "witness"):
        shutil.copytree(data / name, target / name)
    source = sqlite3.connect(data / "market.sqlite3")
    with closing(source), closing(sqlite3.connect(target / "market.sqlite3")) as made:
        source.backup(made)
    return target


def heads(data: Path) -> list[Any]:
    return [held_head(data / name) for name in ("log-signer", "witness")]


class guard:  # noqa: N801 - reads as a word
    """The instance with or without its guard, for the length of a block."""

    def __init__(self, *, off: bool) -> None:
        self._off = off
        self._kept: tuple[Callable[..., Any], Callable[..., Any]] | None = None

    def __enter__(self) -> None:
        if self._off:
            self._kept = instances.check_not_behind, instances.watched
            instances.check_not_behind = lambda *_: None
            instances.watched = lambda _runtime, _log, step: bool(step()) and False

    def __exit__(self, *_: object) -> None:
        if self._kept:
            instances.check_not_behind, instances.watched = self._kept


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--restores", type=int, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--seeded-bug", action="store_true", help="start without the guard")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    began = time.monotonic()
    found = run(options.restores, options.seed, seeded_bug=options.seeded_bug)
    bad = [one for one in found if not one.ok]
    figures = {
        "seed": options.seed,
        "restores": len(found),
        "refused": sum(bool(one.refused) for one in found),
        "grants": sum(one.grants for one in found),
        "signed": sum(one.signed for one in found),
        "recovered": sum(one.recovered for one in found),
        "seconds": f"{time.monotonic() - began:.0f}",
    }
    goal = "0 of 10 restores serve or sign; recovery is itself an entry"
    report = {"name": "restore", "figures": figures, "floor": None, "ratio": None, "goal": goal, "met": not bad}
    if options.json:
        sys.stdout.write(json.dumps(report | {"bad": [vars(one) for one in bad]}) + "\n")
    else:
        sys.stdout.write(f"{figures}\n" + "".join(f"BAD {vars(one)}\n" for one in bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
