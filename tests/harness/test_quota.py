"""The quota hammer at a small size, and the bug that it must catch."""

from __future__ import annotations

import json

from tests.harness import quota

SMALL = ["--attempts", "240", "--processes", "2", "--threads", "12", "--only", "sqlite", "--json"]


def test_exactly_the_limit_is_granted(capsys):
    assert quota.main([*SMALL, "--seed", "1"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["findings"]
    assert found["counts"]["served"] == found["limit"] == 12
    assert found["violations"] == []
    assert found["samples"] > 0


def test_a_reservation_that_trusts_an_earlier_look_is_caught(capsys):
    assert quota.main([*SMALL, "--seed", "1", "--seeded-bug"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["findings"]
    assert found["counts"]["served"] > found["limit"]
    assert any(words.startswith("uses settled") for words in found["violations"])
