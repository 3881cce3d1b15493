"""A quota is never granted twice (threat T14, invariant I6)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from marketplace.usage import quotas
from marketplace.usage.models import UsageQuota
from marketplace.usage.rules import Limits
from tests.usage.agreed import agree


def open_quota(house, uses: int | None, volume: int | None) -> None:
    agree(house, files=1)
    with house.arrange() as db:
        quotas.hold(db, "agr_1", Limits(uses, volume))


def quota(house) -> UsageQuota:
    with house.runtime.database.reading() as db:
        return db.get(UsageQuota, "agr_1")


def take(house, uses: int, volume: int) -> bool:
    with house.arrange() as db:
        return quotas.reserve(db, "agr_1", uses=uses, volume=volume)


def test_sixteen_threads_get_exactly_what_there_is(house):
    open_quota(house, 25, None)
    with ThreadPoolExecutor(16) as threads:
        granted = sum(threads.map(lambda _: take(house, 1, 10), range(80)))
    assert granted == 25
    assert (quota(house).uses_reserved, quota(house).bytes_reserved) == (25, 250)


def test_volume_is_a_limit_of_its_own(house):
    open_quota(house, None, 100)
    assert take(house, 1, 60)
    assert not take(house, 1, 41)
    assert take(house, 1, 40)
    assert quota(house).uses_reserved == 2, "a refused reservation takes nothing"


def test_settling_frees_what_was_not_served(house):
    open_quota(house, 1, 100)
    assert take(house, 1, 100)
    with house.arrange() as db:
        quotas.settle(db, "agr_1", uses=1, uses_served=0, volume=100, volume_served=0)
    assert take(house, 1, 100)
    with house.arrange() as db:
        quotas.settle(db, "agr_1", uses=1, uses_served=1, volume=100, volume_served=70)
    found = quota(house)
    assert (found.uses_reserved, found.uses_settled, found.bytes_reserved, found.bytes_settled) == (0, 1, 0, 70)
    assert not take(house, 1, 0)
    assert take(house, 0, 30)


def test_more_than_reserved_cannot_be_settled(house):
    open_quota(house, 1, 100)
    with house.arrange() as db, pytest.raises(ValueError, match="served 0 uses, 2 bytes"):
        quotas.settle(db, "agr_1", uses=1, uses_served=0, volume=1, volume_served=2)


def test_opening_a_quota_again_keeps_what_is_used(house):
    open_quota(house, 2, None)
    assert take(house, 2, 0)
    with house.arrange() as db:
        quotas.hold(db, "agr_1", Limits(99, None))
    assert not take(house, 1, 0)
