"""A benchmark says truthfully whether its goals are met."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from marketplace.commands import bench
from tests.benchmarks.figures import Goal, Result, main

GOALS = {"speed": Goal("G6", at_least=3000), "wait_s": Goal("G5", at_most=2), "ratio.speed": Goal("G6", at_least=0.5)}


def result(speed: float = 4000, wait: float = 1, ratio: float = 0.6) -> Result:
    return Result("example", "how", GOALS, {"speed": speed, "wait_s": wait}, {"speed": 7000}, {"speed": ratio})


@pytest.mark.parametrize(
    ("figures", "missed"),
    [({}, []), ({"speed": 2999}, ["speed"]), ({"wait": 2.01}, ["wait_s"]), ({"ratio": 0.49}, ["ratio.speed"])],
)
def test_each_goal_can_be_missed(figures: dict[str, float], missed: list[str]) -> None:
    found = result(**figures)
    assert found.missed == missed
    assert found.as_json()["met"] is (missed == [])
    assert found.as_lines().count("MISSED") == len(missed)


def test_a_figure_that_was_not_measured_meets_no_goal() -> None:
    found = result()
    del found.ratio["speed"]
    assert found.missed == ["ratio.speed"]


def test_the_exit_code_tells(capsys: pytest.CaptureFixture[str]) -> None:
    for speed, code in ((4000, 0), (1, 1)):
        with pytest.raises(SystemExit) as end:
            main(lambda _options, speed=speed: result(speed), ["--json"])
        assert end.value.code == code
        assert json.loads(capsys.readouterr().out)["met"] is (code == 0)


def test_the_command_knows_the_benchmarks_and_says_so() -> None:
    known = set(bench.names())
    assert {"ledger", "log"} <= known
    assert not known & {"askers", "deciding"}, "processes of benchmarks are none themselves"
    command = [sys.executable, "-m", "marketplace", "bench", "nothing"]
    done = subprocess.run(command, cwd=bench.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there are" in done.stderr
    assert "ledger, log" in done.stderr


def test_all_benchmarks_have_the_shape_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    together = bench._all({"example": result().as_json(), "other": result(1).as_json()})
    assert together["met"] is False
    assert together["figures"]["example"] == {"speed": 4000, "wait_s": 1}
    assert together["goal"]["other"]["wait_s"] == "G5 <= 2"
    assert together.keys() >= {"name", "figures", "floor", "ratio", "goal", "met"}
