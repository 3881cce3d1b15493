"""Every single system call of what must be durable fails once: by EIO, by ENOSPC, by a kill (goal G2, procedure P2).

`python -m tests.harness.faults [--points N] [--steps append,signer,…] [--processes 2] [--seeded-bug] [--json]`
First the undisturbed act is traced and its calls are counted; then it is run once for each call and fault.  After each:
what was acknowledged is there and sound, what was not is wholly there or wholly absent, and the next run works.
`--seeded-bug` lets the heads be written in place, without a temporary file, rename and fsync.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FAULTS = {"EIO": "error=EIO", "ENOSPC": "error=ENOSPC", "KILL": "signal=KILL"}
CALLS = [
    "openat",
    "read",
    "pread64",
    "write",
    "pwrite64",
    "writev",
    "fsync",
    "fdatasync",
    "ftruncate",
    "fallocate",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "chmod",
    "fchmod",
    "sendfile",
    "copy_file_range",
    "close",
]
HINT = "strace is not installed or may not trace here: `apt-get install strace`; a container needs CAP_SYS_PTRACE"


@dataclass(frozen=True)
class Point:
    """The n-th call of a name within a step, and what happens to it."""

    step: str
    call: str
    number: int
    fault: str

    def strace(self) -> list[str]:
        inject = f"inject={self.call}:{FAULTS[self.fault]}:when={self.number}"
        return ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={self.call}", "-e", inject]


ROOT = "MARKETPLACE_FAULTS_FOLDER"


@cache
def _templates() -> Path:
    """The folder of this process below the one that `run` made and will remove."""
    folder = Path(os.environ[ROOT]) / str(os.getpid())
    folder.mkdir()
    return folder


def _template(name: str) -> Path:
    from tests.harness.fault_steps import STEPS

    folder = _templates() / name
    if not folder.is_dir():
        folder.mkdir()
        STEPS[name].begin(folder)
    return folder


def _fresh(name: str) -> Path:
    folder = _templates() / f"run-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(_template(name), folder)
    return folder


def counted(name: str) -> dict[str, int]:
    """How often an undisturbed act makes each call; also shows that what it traces is the act."""
    from tests.harness.fault_steps import STEPS
    from tests.harness.traced import Marks, disturbed

    folder, trace = _fresh(name), _templates() / f"{name}.trace"
    ended = disturbed(STEPS[name].act, folder, Marks(), ["strace", "-f", "-qq", "-o", str(trace), "-e", "trace=all"])
    assert ended.code == 0, f"the undisturbed {name} failed"
    assert not STEPS[name].judge(folder, ended.told), f"the undisturbed {name} is not sound"
    made = Counter(found[1] for line in trace.read_text().splitlines() if (found := re.match(r"\d+\s+(\w+)\(", line)))
    return {call: made[call] for call in CALLS if made[call]}


def tried(point: Point) -> list[str]:
    """Disturb one call; returns what is wrong afterwards."""
    from tests.harness.fault_steps import STEPS
    from tests.harness.traced import Marks, disturbed

    step, folder, marks = STEPS[point.step], _fresh(point.step), Marks()
    ended = disturbed(step.act, folder, marks, point.strace())
    wrong = step.judge(folder, ended.told)
    again = disturbed(step.act, folder, marks, None)
    if again.code != 0:
        wrong.append("the next run fails")
    return wrong + [f"after the next run: {one}" for one in step.judge(folder, again.told)]


def tried_alone(point: Point, *, bug: bool = False) -> list[str]:
    """One point in a process of its own, so that a planted fault stays there."""
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        os.environ[ROOT] = folder
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.map(_try, [(point, bug)])[0][1]


def _try(job: tuple[Point, bool]) -> tuple[Point, list[str]]:
    point, bug = job
    if bug:
        plant_bug()
    try:
        return point, tried(point)
    except Exception as error:  # noqa: BLE001 - whatever the check trips over is a finding
        return point, [f"the check itself failed: {error!r}"]


def plant_bug() -> None:
    """Heads are written in place: what a hurried author does."""
    from marketplace.audit import heldstate

    def write_in_place(path: Path, content: bytes, mode: int = 0o600) -> None:
        path.write_bytes(content)
        path.chmod(mode)

    heldstate.write_durably = write_in_place


# Of a call made more often than this only the first and the last ones are disturbed: reading and copying in a loop.
ENOUGH = 40


def _ordinals(times: int, *, every: bool) -> list[int]:
    if every or times <= ENOUGH:
        return list(range(1, times + 1))
    return [*range(1, ENOUGH // 2 + 1), *range(times - ENOUGH // 2 + 1, times + 1)]


def points_of(steps: list[str], limit: int | None, seed: int, *, every: bool = False) -> list[Point]:
    """The points of the steps, or a random choice of so many."""
    found = [
        Point(name, call, number, fault)
        for name in steps
        for call, times in counted(name).items()
        for number in _ordinals(times, every=every)
        for fault in FAULTS
    ]
    if limit is not None and limit < len(found):
        return random.Random(seed).sample(found, limit)
    return found


def run(
    steps: list[str], *, limit: int | None, seed: int, processes: int, bug: bool = False, every: bool = False
) -> dict[str, Any]:
    """Try the points; returns figures and what was wrong."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        os.environ[ROOT] = folder
        _templates.cache_clear()
        points = points_of(steps, limit, seed, every=every)
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            results = pool.map(_try, [(point, bug) for point in points], chunksize=8)
    bad = [(point, wrong) for point, wrong in results if wrong]
    return {
        "seed": seed,
        "points": len(points),
        "by_step": dict(Counter(point.step for point in points)),
        "by_fault": dict(Counter(point.fault for point in points)),
        "calls": len({(point.step, point.call, point.number) for point in points}),
        "bad": len(bad),
        "seconds": round(time.monotonic() - began, 1),
        "first_bad": [{**point.__dict__, "wrong": wrong} for point, wrong in bad[:10]],
    }


def can_trace() -> bool:
    """Whether a child of ours can be traced, and a call of its made to fail, on this machine."""
    if shutil.which("strace") is None:
        return False
    command = ["strace", "-f", "-qq", "-o", os.devnull, "-e", "inject=getppid:error=EIO", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def main() -> int:
    if not can_trace():
        print(HINT, file=sys.stderr)
        return 2
    from tests.harness.fault_steps import STEPS

    parser = argparse.ArgumentParser(description="Let every system call of a durable act fail once.")
    parser.add_argument("--points", type=int, help="a random choice of so many; default: all")
    parser.add_argument("--steps", default=",".join(STEPS))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--every", action="store_true", help="also the middle of calls that are made in a loop")
    parser.add_argument("--seeded-bug", action="store_true", help="write heads in place: must be reported")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    print(f"faults: seed {asked.seed}", file=sys.stderr)
    steps = asked.steps.split(",") if not asked.seeded_bug else ["signer", "witness"]
    figures = {"limit": asked.points, "seed": asked.seed, "processes": asked.processes}
    result = run(steps, **figures, bug=asked.seeded_bug, every=asked.every)
    print(json.dumps(result, indent=None if asked.json else 1))
    print(f"{result['bad']} of {result['points']} points left something bad", file=sys.stderr)
    return 1 if result["bad"] else 0


if __name__ == "__main__":
    sys.exit(main())
