"""The API fuzzer at a reduced size, and the bug that it must catch."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.harness import fuzz_api


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = fuzz_api.main(["--seed", "1", "--json", *arguments])
    said: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return code, said


@pytest.mark.filterwarnings("ignore")
def test_a_few_operations_keep_to_their_document(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(capsys, "--cases", "40", "--only", "search_catalogue", "get_asset", "request_access")
    assert said["broken"] == {}
    assert said["figures"]["cases"] >= 40
    assert (code, said["met"]) == (0, True)


@pytest.mark.filterwarnings("ignore")
def test_a_route_that_breaks_on_some_texts_is_caught(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(capsys, "--cases", "40", "--only", "search_catalogue", "--seeded-bug")
    assert code == 1
    assert said["figures"]["server_errors"] > 0
    assert any("Server error" in what for what in said["broken"])


def test_a_run_that_stops_early_is_not_met_and_says_where_it_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(capsys, "--cases", "40", "--from", "7", "--seconds", "0")
    assert (code, said["met"], said["figures"]["cases"]) == (1, False, 0)
    assert said["cut"] == "TimeIsOver in round 7: go on with --seed 1 --from 7"
