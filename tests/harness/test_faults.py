"""The fault sweep at a reduced size, and the planted fault that it must see."""

from __future__ import annotations

import pytest

from tests.harness import faults

pytestmark = pytest.mark.skipif(not faults.can_trace(), reason=faults.HINT)


def test_no_call_that_fails_leaves_anything_bad() -> None:
    result = faults.run(["append", "signer", "witness", "objects"], limit=30, seed=5, processes=1)
    assert result["points"] == 30
    assert result["first_bad"] == []


def test_a_head_written_in_place_is_seen() -> None:
    points = [faults.Point("signer", "write", number, "KILL") for number in (1, 2)]
    assert [point for point in points if faults.tried_alone(point, bug=True)]


@pytest.mark.parametrize("number", range(1, 7))
def test_a_backup_says_when_a_journal_beside_the_copy_cannot_be_removed(number: int) -> None:
    assert faults.tried_alone(faults.Point("backup", "unlink", number, "EIO")) == []


@pytest.mark.parametrize("fault", ["KILL", "EIO"])
def test_a_child_that_is_gone_at_its_first_call_is_no_finding(fault: str) -> None:
    assert faults.tried_alone(faults.Point("objects", "read", 1, fault)) == []
