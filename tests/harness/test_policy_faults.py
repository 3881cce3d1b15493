"""The sweep of odd answers of the policy engine, at a reduced size, and the bug that it must catch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import policy_faults


def test_no_odd_answer_is_a_grant(tmp_path: Path) -> None:
    found = policy_faults.sweep(tmp_path / "house", requests=2, seed=1)
    assert len(policy_faults.SHAPES) >= 20
    assert found.requests == 2 * len(policy_faults.SHAPES)
    assert (found.grants, found.unrecorded, found.controls) == ({}, 0, [True, True])


def test_an_engine_that_takes_any_result_for_a_yes_is_caught(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = ("null", "bare true", "allow alone", "echo of other facts", "redirect", "yes with a reason")
    monkeypatch.setattr(policy_faults, "SHAPES", {name: policy_faults.SHAPES[name] for name in kept})
    assert policy_faults.main(["--requests", "2", "--seed", "1", "--seeded-bug"]) == 1
    assert "GRANTED 2 times on: echo of other facts" in capsys.readouterr().out
