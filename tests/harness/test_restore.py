"""The restore harness at a reduced size, and the bug it must catch."""

from __future__ import annotations

from tests.harness import restore


def test_a_restored_market_ends_with_one_sentence_and_serves_only_after_two_have_signed() -> None:
    (one,) = restore.run(1, seed=3)
    assert one.ok, one
    assert (one.exit_code, one.refused, one.grants, one.signed) == (1, "log-behind", 0, 0)


def test_a_missing_guard_is_caught() -> None:
    (one,) = restore.run(1, seed=5, seeded_bug=True)
    assert one.grants
    assert not one.ok
