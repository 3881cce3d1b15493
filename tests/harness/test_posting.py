"""Killed posting workers at a reduced size, on both databases; a worker that forgets too early is noticed."""

from __future__ import annotations

from pathlib import Path

from tests.harness.posting import figures


def test_no_event_is_lost_or_doubled_when_workers_are_killed(tmp_path: Path, either_url: str) -> None:
    url = either_url or f"sqlite:///{tmp_path / 'books.sqlite3'}"
    result = figures(url, events=400, kills=2, workers=2, seed=7)
    assert result["kills"] >= 1
    assert (result["violations"], result["first"]) == (0, [])


def test_a_worker_that_forgets_what_it_has_not_posted_is_noticed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'books.sqlite3'}"
    assert figures(url, events=400, kills=3, workers=1, seed=8, bug=True)["violations"]
