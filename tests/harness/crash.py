"""Every process is killed again and again while customers work; the invariants are checked after each kill.

`python -m tests.harness.crash [--kills 60] [--form embedded|production|both] [--seed N] [--json]
[--seeded-bug [unsettled|early]]`
Goal G1, procedure P1.  Prints seed, kills by kind, requests answered, violations; exit code 1 for any.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from tests.harness.broken import BUGS
from tests.harness.customers import Crowd
from tests.harness.invariants import Checker
from tests.harness.running import WINDOW_KIB, Embedded, kill, wait_until_up
from tests.harness.world import prepare

PAUSE = (0.2, 2.0)
SETTLE_SECONDS = 60
# Most kills hit a service at work, the others one that is just starting.
WHILE_UP = 0.8
# A killed server's uses are settled by the sweeper of the next one that lives long enough.
USE_LIMIT = timedelta(seconds=90)


class Form(Protocol):
    """A marketplace as processes."""

    KINDS: tuple[str, ...]
    url: str
    database_url: str
    folders: tuple[Path, Path]

    def start(self) -> None: ...

    def victim(self, kind: str) -> int | None: ...

    def end(self) -> None: ...


@dataclass
class Run:
    """One run on one form."""

    form: Any
    crowd: Crowd
    checker: Checker
    dice: random.Random
    kills: Counter[str] = field(default_factory=Counter)
    violations: dict[str, int] = field(default_factory=dict)
    ready_seconds: list[float] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    def go(self, count: int) -> None:
        """Start, kill so many, let everything settle, check a last time."""
        self.form.start()
        wait_until_up(self.form.url)
        keeper = threading.Thread(target=self._keep_running, daemon=True)
        keeper.start()
        try:
            self._work(count)
            self._settle(count)
        finally:
            self.crowd.stop()
            self._ended.set()
            keeper.join()

    def _work(self, count: int) -> None:
        self.crowd.start()
        try:
            deck: list[str] = []
            for number in range(count):
                deck = deck or self.dice.sample(self.form.KINDS, len(self.form.KINDS))
                if self.dice.random() < WHILE_UP:
                    self.ready_seconds.append(wait_until_up(self.form.url))
                time.sleep(self.dice.uniform(*PAUSE))
                self._kill(deck.pop())
                self._note(self.checker.check(self.crowd.journal), number)
            wait_until_up(self.form.url)
            time.sleep(2)
        finally:
            self.crowd.stop()

    def _keep_running(self) -> None:
        """What a supervisor does: whatever has ended is started again."""
        while not self._ended.wait(0.1):
            self.form.start()

    def _kill(self, kind: str) -> None:
        """Kill one process of a kind as soon as there is one; a kind that has none now is skipped."""
        limit = time.monotonic() + 15
        while time.monotonic() < limit:
            victim = self.form.victim(kind)
            if victim is not None and kill(victim):
                self.kills[kind] += 1
                return
            time.sleep(0.02)

    def _settle(self, number: int) -> None:
        """With the service up and nobody asking, nothing may be left to do."""
        limit = time.monotonic() + SETTLE_SECONDS
        while True:
            self.checker.use_limit = timedelta(seconds=0)
            found = self.checker.check(self.crowd.journal, settled=True)
            if not found or time.monotonic() > limit:
                self._note(found, number)
                return
            time.sleep(1)

    def _note(self, found: list[str], number: int) -> None:
        for one in found:
            if one not in self.violations:
                self.violations[one] = number + 1
                print(f"after kill {number + 1}: {one}", file=sys.stderr)


def run_embedded(folder: Path, *, kills: int, seed: int, bug: str = "") -> dict[str, Any]:
    """The embedded form on a fresh copy of the world."""
    place = prepare(folder / "story").copy(folder / "embedded")
    form = Embedded(place, bug=bug, log=folder / "server.log")
    return figures(form, place, kills, seed)


def figures(form: Any, place: Any, kills: int, seed: int) -> dict[str, Any]:
    began = time.monotonic()
    crowd = Crowd(place, form.url, WINDOW_KIB * 1024, seed)
    checker = Checker(form.database_url, *form.folders, window=WINDOW_KIB * 1024, use_limit=USE_LIMIT)
    run = Run(form, crowd, checker, random.Random(seed))
    try:
        run.go(kills)
    finally:
        form.end()
    return {
        "form": type(form).__name__.lower(),
        "seed": seed,
        "kills": sum(run.kills.values()),
        "kills_by_kind": dict(run.kills),
        "requests_answered": crowd.answered,
        "streams": len(crowd.journal.streams),
        "entries": checker.leaves,
        "violations": len(run.violations) + len(crowd.problems),
        "seconds": round(time.monotonic() - began, 1),
        "first_violations": [f"after kill {at}: {what}" for what, at in list(run.violations.items())[:20]],
        # A refusal that an honest customer may not get, e.g. 404 for what was acknowledged to it.
        "wrong_refusals": crowd.problems[:10],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill every process under load; the invariants must hold.")
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--form", choices=("embedded", "production", "both"), default="both")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--seeded-bug", nargs="?", const="unsettled", choices=sorted(BUGS), default="")
    parser.add_argument("--folder", type=Path, help="where to work, to keep what is left")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    print(f"crash: seed {asked.seed}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="crash-") as temporary:
        results = list(_forms(asked, asked.folder or Path(temporary)))
    print(json.dumps(results, ensure_ascii=False, indent=None if asked.json else 1))
    bad = sum(one["violations"] for one in results)
    total = sum(one["kills"] for one in results)
    print(f"{bad} violations in {total} kills", file=sys.stderr)
    return 1 if bad else 0


def _forms(asked: argparse.Namespace, folder: Path) -> Any:
    share = asked.kills
    if asked.form == "both" and not asked.seeded_bug:
        from tests.harness import production

        missing = production.missing()
        if missing:
            print(f"only the embedded form: {missing}", file=sys.stderr)
        else:
            share = asked.kills // 2
            yield production.run(folder, kills=asked.kills - share, seed=asked.seed)
    if asked.form == "production":
        from tests.harness import production

        missing = production.missing()
        if missing:
            raise SystemExit(f"the production form cannot run here: {missing}")
        yield production.run(folder, kills=asked.kills, seed=asked.seed)
        return
    yield run_embedded(folder, kills=share, seed=asked.seed, bug=asked.seeded_bug)


if __name__ == "__main__":
    sys.exit(main())
