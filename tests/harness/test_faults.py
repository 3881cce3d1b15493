"""The fault sweep at a reduced size, and the planted fault that it must see."""

from __future__ import annotations

import shutil

import pytest

from tests.harness import faults

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason=faults.HINT)


def test_no_call_that_fails_leaves_anything_bad() -> None:
    result = faults.run(["append", "signer", "witness", "objects"], limit=30, seed=5, processes=1)
    assert result["points"] == 30
    assert result["first_bad"] == []


def test_a_head_written_in_place_is_seen() -> None:
    points = [faults.Point("signer", "write", number, "KILL") for number in (1, 2)]
    assert [point for point in points if faults.tried_alone(point, bug=True)]
