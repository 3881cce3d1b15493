"""Epochs only grow, on both databases, also when several stop the same things at once in another order (I12)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from threading import Barrier

import pytest

from marketplace.audit.entry import Tag, record
from marketplace.plumbing import epochs
from marketplace.plumbing.epochs import Stop
from tests.house import House, open_house
from tests.servers import initdb_path, postgresql

SUBJECTS = ("agr_1", "ver_1", "SJ1")


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    if request.param == "sqlite":
        with open_house(tmp_path / "house") as opened:
            yield opened
        return
    if initdb_path() is None:
        pytest.skip("PostgreSQL is not installed here")
    with postgresql() as url, open_house(tmp_path / "house", url) as opened:
        yield opened


def state(house: House) -> tuple[int, list[int]]:
    with house.runtime.database.reading() as db:
        return epochs.changes(db), [epochs.total(db, [one]) for one in SUBJECTS]


def stop(house: House, subjects: tuple[str, ...], reason: Stop) -> None:
    actor, now = house.cast["hospital"].actor, house.clock.now()
    with house.db() as db:
        entry = record(db, actor, Tag.VERSION_SUSPENDED, now)
        epochs.stop(db, subjects, reason, actor, entry, now)


def test_stops_of_the_same_subjects_in_another_order_at_once_are_all_counted(house: House) -> None:
    rounds, start = 8, Barrier(3)
    orders = (SUBJECTS, SUBJECTS[::-1], SUBJECTS[1:] + SUBJECTS[:1])

    def keep_stopping(order: tuple[str, ...]) -> None:
        start.wait(30)
        for _ in range(rounds):
            stop(house, order, Stop.VERSION_SUSPENDED)

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(keep_stopping, order) for order in orders]
        seen = [state(house)]
        while not all(one.done() for one in running):
            seen.append(state(house))
    for one in running:
        one.result()
    assert state(house) == (3 * 3 * rounds, [3 * rounds] * 3)
    for before, after in pairwise(seen):
        assert before[0] <= after[0]
        assert all(old <= new for old, new in zip(before[1], after[1], strict=True))


def test_an_opened_epoch_is_zero_and_opening_it_again_takes_nothing_back(house: House) -> None:
    for _ in range(2):
        with house.arrange() as db:
            epochs.open_epoch(db, "agr_1")
    assert state(house) == (0, [0, 0, 0])
    stop(house, ("agr_1",), Stop.AGREEMENT_SUSPENDED)
    with house.arrange() as db:
        epochs.open_epoch(db, "agr_1")
    assert state(house) == (1, [1, 0, 0])


def test_the_reason_is_that_of_the_latest_stop_of_any_subject(house: House) -> None:
    stop(house, ("agr_1", "ver_1"), Stop.AGREEMENT_SUSPENDED)
    stop(house, ("SJ1",), Stop.CERTIFICATE_SUSPENDED)
    with house.runtime.database.reading() as db:
        assert epochs.reason_of(db, SUBJECTS) == "certificate_suspended"
        assert epochs.reason_of(db, ["ver_1"]) == "agreement_suspended"
        assert epochs.reason_of(db, ["brand-new"]) == ""
        assert epochs.reason_of(db, []) == ""
