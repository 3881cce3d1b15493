"""Tampering at a reduced size: every class once and more, every variant untouched, and the planted omission is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.mutations import CLASSES
from tests.harness.ordinary import snapshots
from tests.harness.tamper import judge, room, run
from tests.harness.world import Place


@pytest.fixture(scope="module")
def world(story: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tamper")
    snapshots(story, folder, count=20, seed=3)
    return folder


@pytest.mark.parametrize("kind", CLASSES)
def test_each_class_is_named(world: Path, kind: str) -> None:
    with room():
        for number in range(2):
            verdict = judge(number, kind, 3, world)
            assert verdict.named, verdict


def test_ordinary_work_raises_no_alarm_and_unchecked_rows_are_noticed(world: Path) -> None:
    result = run(world, mutations=len(CLASSES), seed=4, processes=1, bug="rows")
    assert (result["variants"], result["false_alarms"]) == (20, 0)
    assert {"row edit", "posting", "quota"} <= {one["kind"] for one in result["missed"]}


def test_ordinary_work_raises_no_alarm_and_unchecked_columns_are_noticed(world: Path) -> None:
    result = run(world, mutations=2 * len(CLASSES), seed=4, processes=1, bug="columns")
    assert (result["variants"], result["false_alarms"]) == (20, 0)
    assert {one["kind"] for one in result["missed"]} == {"entry column"}
