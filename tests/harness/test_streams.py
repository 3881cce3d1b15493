"""Killed streams at a small size, and the bug that the harness must catch."""

from __future__ import annotations

import json

from tests.harness import streams

# With this seed whoever is to be cut reads for six seconds: no slow machine lets a stream end before its cut.
SMALL = ["--streams", "6", "--at-once", "2", "--seed", "1113", "--json"]


def test_every_byte_at_a_client_is_covered_by_a_logged_window(capsys):
    assert streams.main(SMALL) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["violations"] == []
    assert set(told["streams"]) == set(streams.WAYS)
    assert told["most_beyond"] <= streams.WINDOW


def test_a_window_logged_after_its_bytes_is_caught(capsys):
    assert streams.main([*SMALL, "--seeded-bug"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert any("bytes that no window covers" in words for words in told["violations"])
