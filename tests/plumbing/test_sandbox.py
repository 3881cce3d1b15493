"""The parse pool: hostile items cost only themselves."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from marketplace.plumbing.sandbox import Failure, ParsePool, SandboxUnavailable
from tests.plumbing import hostile


@pytest.fixture(scope="module")
def pool() -> Iterator[ParsePool]:
    """A pool whose items have the time that a busy machine needs."""
    opened = ParsePool(2, 512, 60, prefixes=("tests.", "marketplace."))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def hasty() -> Iterator[ParsePool]:
    """A pool that gives up an item after two seconds, a hundred times what the others take."""
    opened = ParsePool(2, 512, 2, prefixes=("tests.",))
    yield opened
    opened.close()


def test_results_keep_the_order_of_the_arguments(pool: ParsePool) -> None:
    assert pool.run(hostile.double, range(500)) == [hostile.Double(2 * i) for i in range(500)]
    assert pool.run(hostile.double, []) == []


def test_an_item_that_kills_its_child_costs_only_itself(pool: ParsePool) -> None:
    results = pool.run(hostile.die_at, [(i, 7) for i in range(40)])
    assert results[7] == Failure("crashed", f"exit status {-signal.SIGSEGV}")
    assert [r for r in results if not isinstance(r, Failure)] == [i for i in range(40) if i != 7]


def test_an_item_whose_child_was_killed_once_is_tried_again(pool: ParsePool, tmp_path: Path) -> None:
    marker = str(tmp_path / "killed")
    assert pool.run(hostile.die_once, [(i, marker) for i in range(10)]) == list(range(10))
    assert Path(marker).exists()


def test_an_item_that_switches_its_own_timer_off_is_killed_by_the_parent(hasty: ParsePool) -> None:
    """Else it would come to its end after a minute."""
    results = hasty.run(hostile.stall_at, [(i, 2) for i in range(6)])
    assert results == [0, 1, Failure("time_limit", "over 2 s"), 3, 4, 5]


def test_an_endless_loop_ends_at_the_time_limit(hasty: ParsePool) -> None:
    assert hasty.run(hostile.spin, [0, 1, 2]) == [0, Failure("time_limit", "over 2 s"), 2]


def test_memory_beyond_the_limit_is_refused_and_less_is_not(pool: ParsePool) -> None:
    assert pool.run(hostile.bloat, [64, 600, 64]) == [64 << 20, Failure("memory_limit", "MemoryError"), 64 << 20]


def test_numpy_and_pydicom_fit_into_the_default_limit() -> None:
    with ParseOne() as fresh:
        assert fresh.run(hostile.import_pydicom, [0])[0] >= "3.0.2"


def test_the_server_process_does_not_grow_with_a_bloated_child(pool: ParsePool) -> None:
    def resident() -> int:
        line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmRSS"))
        return int(line.split()[1])

    before = resident()
    pool.run(hostile.bloat, [300] * 8)
    assert resident() - before < 20_000


def test_a_child_killed_while_idle_is_replaced(pool: ParsePool) -> None:
    pool.run(hostile.double, range(8))
    for pid in pool.processes():
        os.kill(pid, signal.SIGKILL)
    assert pool.run(hostile.double, range(8)) == [hostile.Double(2 * i) for i in range(8)]


def test_a_child_reaches_no_network(pool: ParsePool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        result = pool.run(hostile.connect, [server.getsockname()])[0]
    assert isinstance(result, Failure)
    assert result.detail.startswith("PermissionError")


def test_a_child_starts_no_process(pool: ParsePool) -> None:
    result = pool.run(hostile.spawn, [0])[0]
    assert isinstance(result, Failure)
    assert result.detail.startswith("PermissionError")


def test_a_child_sees_none_of_our_environment(pool: ParsePool, monkeypatch: pytest.MonkeyPatch) -> None:
    with ParseOne() as fresh:
        monkeypatch.setenv("MARKETPLACE_SECRET", "x")
        names = fresh.run(hostile.environment, [0])[0]
    assert not isinstance(names, Failure)
    assert set(names) <= {
        "LANG", "LC_CTYPE", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONDONTWRITEBYTECODE",
        "PYTHONPATH", "PYTHONSAFEPATH",
    }  # fmt: skip


def test_a_child_writes_no_file_beyond_the_limit(tmp_path: Path) -> None:
    with ParseOne(file_mib=1) as pool:
        results = pool.run(hostile.write, [(str(tmp_path / "a"), 1), (str(tmp_path / "b"), 2)])
    assert results[0] is None
    assert isinstance(results[1], Failure)
    assert (tmp_path / "b").stat().st_size <= 1 << 20


def test_an_answer_that_would_run_code_is_not_unpickled(pool: ParsePool) -> None:
    result = pool.run(hostile.answer_with_code, [0])[0]
    assert result == Failure("crashed", "odd answer: UnpicklingError")
    assert not Path("/tmp/sandbox_escaped").exists()


def test_a_failure_never_quotes_the_file(pool: ParsePool) -> None:
    result = pool.run(hostile.quote_the_file, ["张伟 13800000000"])[0]
    assert isinstance(result, Failure)
    assert result.reason == "failed"
    assert result.detail.startswith("ValueError at hostile.py:")


def test_functions_of_other_packages_are_refused() -> None:
    with ParseOne(prefixes=("marketplace.",)) as pool, pytest.raises(ValueError, match="only top-level"):
        pool.run(hostile.double, [1])


def test_several_threads_share_the_pool(pool: ParsePool) -> None:
    outcomes: dict[int, object] = {}
    threads = [
        threading.Thread(target=lambda n=n: outcomes.update({n: pool.run(hostile.double, range(n, n + 100))}))
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {n: [hostile.Double(2 * i) for i in range(n, n + 100)] for n in range(6)}


def test_children_that_cannot_start_are_said_to_be_unavailable() -> None:
    with ParseOne(memory_mib=4) as pool, pytest.raises(SandboxUnavailable):
        pool.run(hostile.double, [1])


ORPHANING = """
import os, sys, threading, time
from pathlib import Path
from marketplace.plumbing.sandbox import ParsePool
from tests.plumbing import hostile

pool, begun = ParsePool(1, 512, 1, prefixes=("tests.",)), Path(sys.argv[2])
threading.Thread(target=pool.run, args=(getattr(hostile, sys.argv[1]), [str(begun)]), daemon=True).start()
while not begun.exists():
    time.sleep(0.01)
print(*pool.processes(), flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("function", [hostile.begin_and_return, hostile.begin_and_spin])
def test_children_end_after_their_parent_was_killed(tmp_path: Path, function) -> None:
    """One that waits for work is told by its input; one in a loop, with its own timer off, is ended by the kernel."""
    command = [sys.executable, "-c", ORPHANING, function.__name__, str(tmp_path / "begun")]
    killed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert _ends(int(killed.stdout))


def test_every_item_has_processor_time_of_its_own() -> None:
    """What the kernel leaves a child at the beginning of an item is not less for what it did before."""
    with ParseOne() as patient:
        (child, _), (same, left) = patient.run(hostile.work, [1.2, 0])
    assert same == child
    assert left >= 60


def _ends(child: int, seconds: float = 60) -> bool:
    """Whether a process ends in time; a loop has 2 s of its own work, and the machine may give it less than a core."""
    deadline = time.monotonic() + seconds
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not _alive(child)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


class ParseOne(ParsePool):
    """A pool of one child that closes with the block."""

    def __init__(self, memory_mib: int = 512, seconds: int = 60, **kwargs) -> None:
        super().__init__(1, memory_mib, seconds, **({"prefixes": ("tests.",)} | kwargs))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
