"""What one transaction got by its key it does not read twice, and what may be otherwise it reads anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event, update
from sqlmodel import Session, col, select

from marketplace.participants import one_time
from marketplace.plumbing import epochs, idempotency
from marketplace.plumbing.keeping import ROWS
from marketplace.plumbing.outbox import OutboxRow
from tests.house import START, House


@contextmanager
def reads_of_rows(house: House) -> Iterator[list[str]]:
    """The reads of whole rows of the outbox in the block."""
    said: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if statement.startswith("SELECT") and "dedup_key" in statement:
            said.append(statement)

    engine = house.runtime.database.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield said
    finally:
        event.remove(engine, "before_cursor_execute", note)


def put(house: House, *names: str) -> None:
    with house.db() as db:
        for name in names:
            db.add(OutboxRow(id=name, task="test.nothing", args={}, dedup_key=name, asked_at=START, due_at=START))


def test_a_row_is_read_once_though_nobody_holds_it(both: House) -> None:
    put(both, "obx_one")
    with both.runtime.database.reading() as db, reads_of_rows(both) as said:
        assert [db.get_one(OutboxRow, "obx_one").attempts for _ in range(3)] == [0, 0, 0]
        assert len(said) == 1


MOMENTS: dict[str, Callable[[Session], object]] = {
    "a row was locked": lambda db: db.refresh(db.get_one(OutboxRow, "obx_two"), with_for_update=True),
    "got with a lock": lambda db: db.get(OutboxRow, "obx_two", with_for_update=True),
    "selected with a lock": lambda db: db.exec(select(OutboxRow.id).with_for_update()).all(),
    "changed by a statement": lambda db: db.exec(
        update(OutboxRow)
        .where(col(OutboxRow.id) == "obx_one")
        .values(attempts=0)
        .execution_options(synchronize_session=False)
    ),
    "committed": lambda db: db.commit(),
    "rolled back": lambda db: db.rollback(),
}


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS.keys())
def test_whatever_may_be_otherwise_by_now_is_read_anew(both: House, moment: Callable[[Session], object]) -> None:
    put(both, "obx_one", "obx_two")
    with both.runtime.database.session(write=True) as db:
        assert db.get_one(OutboxRow, "obx_one").attempts == 0
        moment(db)
        with reads_of_rows(both) as said:
            assert db.get_one(OutboxRow, "obx_one").attempts == 0
            assert len(said) == 1


WAITS: dict[str, Callable[[Session], object]] = {
    "for the same Idempotency-Key": lambda db: idempotency.replay(
        db, idempotency.Key("hospital", "/v1/assets", "key-0001", ""), b"", str
    ),
    "for the same proof": lambda db: one_time.spend(db, "dpop", "hospital", "jti-0001", START),
    "for a stop": epochs.hold,
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS.keys())
def test_what_was_read_before_a_wait_is_read_anew_where_others_write_beside(
    both: House, wait: Callable[[Session], object]
) -> None:
    put(both, "obx_one")
    with both.runtime.database.session(write=True) as db:
        assert db.get_one(OutboxRow, "obx_one").attempts == 0
        wait(db)
        with reads_of_rows(both) as said:
            assert db.get_one(OutboxRow, "obx_one").attempts == 0
            assert len(said) == (0 if both.runtime.database.is_sqlite else 1)


def test_what_a_savepoint_took_back_is_not_kept(both: House) -> None:
    put(both, "obx_one")
    with both.runtime.database.session(write=True) as db:
        inner = db.begin_nested()
        db.exec(update(OutboxRow).values(attempts=5).execution_options(synchronize_session=False))
        assert db.get_one(OutboxRow, "obx_one").attempts == 5
        inner.rollback()
        assert db.get_one(OutboxRow, "obx_one").attempts == 0


def test_a_transaction_that_goes_through_a_table_does_not_hold_it(both: House) -> None:
    names = [f"obx_{number}" for number in range(ROWS + 1)]
    put(both, *names)
    with both.runtime.database.reading() as db:
        for name in names:
            db.get_one(OutboxRow, name)
        assert len(db.identity_map) <= ROWS
