"""Hostile files get their verdict one by one, in children with bounds; nobody else notices (T24, T25, G21)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from marketplace.collection.dicom import Parsed, read_header
from marketplace.plumbing.sandbox import Failure, ParsePool
from tests.collection import corpus
from tests.collection.conftest import Market, market  # noqa: F401 - a fixture
from tests.hostile import bombs

LARGEST_KIB = 512 << 10
# Not every odd file is unfit: what is changed in a field that nobody relies on still reads as what it says.
MAY_PASS = {"0 x 0 x -1 pixels", "300,000 private elements", "sequences 100 deep, open"}


@pytest.fixture(scope="module")
def pool() -> Iterator[ParsePool]:
    opened = ParsePool(2, 512, 10)
    yield opened
    opened.close()


def peak_kib(process: int) -> int:
    """The most memory that a process ever held."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))


@pytest.mark.parametrize(
    ("group", "least"),
    [("deflated", 13), ("deep", 9), ("lengths", 26), ("pixels", 5), ("containers", 11), ("headers", 12)],
)
def test_each_hostile_file_gets_a_verdict_within_its_bounds(
    pool: ParsePool, tmp_path: Path, group: str, least: int
) -> None:
    files = dict(bombs.GROUPS[group]())
    assert len(files) >= least
    assert max(map(len, files.values())) < 8 << 20
    paths = []
    for number, body in enumerate(files.values()):
        (tmp_path / str(number)).write_bytes(body)
        paths.append(str(tmp_path / str(number)))
    for name, verdict in zip(files, pool.run(read_header, paths), strict=True):
        if isinstance(verdict, Failure):
            assert verdict.reason in {"memory_limit", "time_limit", "crashed"}, name
            continue
        assert isinstance(verdict, Parsed), name
        changed = name.startswith(("good, octet", "UN of", "deflated", *MAY_PASS))
        assert verdict.reason or changed, f"{name} was accepted"
    # A child that reached its limit is gone: its address space was bounded by the kernel.
    assert max(map(peak_kib, pool.processes()), default=0) <= LARGEST_KIB


def test_a_tar_of_bombs_is_answered_file_by_file_and_the_good_one_among_them_is_taken(
    market: Market,  # noqa: F811
) -> None:
    made = [body for group in ("deep", "lengths", "pixels", "headers") for _, body in bombs.GROUPS[group]()]
    names = [body for body in made if len(body) < 2 << 20][::3]
    members = [(f"{number}.dcm", body) for number, body in enumerate(names)]
    members.insert(len(members) // 2, ("good.dcm", corpus.dicom(1)))
    version = market.version()
    before = peak_kib(_self())
    answer = market.put(version, "bombs", members)
    verdicts = Counter(file["accepted"] for file in answer["files"])
    assert verdicts.total() == len(members)
    assert verdicts[True] >= 1
    assert answer["files"][len(names) // 2]["accepted"]
    assert peak_kib(_self()) - before < 100 << 10
    assert market.house.runtime.pool.run(read_header, []) == []


def _self() -> int:
    return int(Path("/proc/self").readlink().name)
