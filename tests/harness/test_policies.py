"""The sweeps over generated contracts, at a reduced size, and the bug that each of them must catch."""

from __future__ import annotations

import pytest

from tests.harness import policies


def test_two_engines_agree_and_neither_a_stricter_contract_nor_an_unknown_term_grants() -> None:
    found = policies.sweep(150, seed=1)
    assert {name: one.wrong for name, one in found.items()} == {"agree": [], "stricter": [], "unknown": []}
    assert found["agree"].telling > 40
    assert found["stricter"].telling == found["unknown"].telling == 150


def test_each_sweep_catches_a_bug_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert policies.main(["--cases", "150", "--seed", "7", "--seeded-bug"]) == 1
    said = capsys.readouterr().out
    for name in ("agree", "stricter", "unknown"):
        assert f"WRONG {name}: " in said
