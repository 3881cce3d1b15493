"""Transactions, moments and epochs, on both databases."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.exc import IntegrityError, SQLAlchemyError, StatementError
from sqlmodel import Session, select

from marketplace.plumbing.epochs import Epoch, bump, open_epoch, total
from marketplace.plumbing.idempotency import KeptAnswer, forget_old_answers
from marketplace.plumbing.outbox import OutboxRow
from tests.house import House

NOON = datetime(2026, 9, 1, 12, 0, 0, 123456, tzinfo=UTC)


def row(moment: datetime, key: str = "one") -> OutboxRow:
    return OutboxRow(id=f"obx_{key}", task="test.nothing", args={}, dedup_key=key, asked_at=moment, due_at=moment)


def test_a_naive_moment_is_refused(both: House) -> None:
    with pytest.raises(StatementError, match="naive moment"), both.db() as db:
        db.add(row(NOON.replace(tzinfo=None)))
    with pytest.raises(StatementError, match="naive moment"), both.db() as db:
        db.exec(select(OutboxRow).where(OutboxRow.due_at < NOON.replace(tzinfo=None))).all()


def test_a_moment_comes_back_in_utc_whatever_its_offset_was(both: House) -> None:
    beijing = timezone(timedelta(hours=8))
    with both.db() as db:
        db.add(row(NOON.astimezone(beijing)))
    with both.runtime.database.reading() as db:
        found = db.exec(select(OutboxRow).where(OutboxRow.due_at == NOON)).one()
        assert found.due_at == NOON
        assert found.due_at.utcoffset() == timedelta(0)
        assert db.exec(select(OutboxRow).where(OutboxRow.due_at < NOON)).all() == []


def test_a_transaction_that_raises_leaves_nothing(both: House) -> None:
    def begin_and_break() -> None:
        with both.db() as db:
            db.add(row(NOON))
            db.flush()
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        begin_and_break()
    with both.runtime.database.reading() as db:
        assert db.get(OutboxRow, "obx_one") is None


def test_a_transaction_that_an_error_has_ended_does_not_commit_though_the_error_was_caught(both: House) -> None:
    """A full disk does so; nobody may be told that what was written before it is kept."""

    def break_it(db: Session) -> None:
        if db.connection().dialect.name == "sqlite":
            db.connection().exec_driver_sql("PRAGMA max_page_count=1")  # no page more than there are
            db.add(row(NOON, "x" * 200_000))
            db.flush()
        else:
            db.connection().exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    def write_and_go_on() -> None:
        with both.db() as db:
            db.add(row(NOON))
            db.flush()
            with suppress(SQLAlchemyError), db.begin_nested():
                break_it(db)

    with pytest.raises(SQLAlchemyError):
        write_and_go_on()
    both.runtime.database.engine.dispose()
    with both.runtime.database.reading() as db:
        assert db.get(OutboxRow, "obx_one") is None


def test_errors_of_the_database_show_no_values(both: House) -> None:
    with both.db() as db:
        db.add(row(NOON, "张伟"))
    with pytest.raises(IntegrityError) as caught, both.db() as db:
        db.add(row(NOON, "张伟"))
    assert "INSERT" in str(caught.value)
    assert "2026-09-01" not in str(caught.value)


def test_an_epoch_is_opened_once_and_only_grows(both: House) -> None:
    with both.arrange() as db:
        open_epoch(db, "agr_1")
        open_epoch(db, "agr_1")
        assert total(db, ["agr_1", "ver_1"]) == 0
    with both.arrange() as db:
        bump(db, "agr_1", "suspended")
        open_epoch(db, "agr_1")
        bump(db, "ver_1", "withdrawn")
        bump(db, "ver_1", "withdrawn")
    with both.runtime.database.reading() as db:
        assert total(db, ["agr_1", "ver_1"]) == 3
        assert total(db, ["ver_1"]) == 2
        assert total(db, []) == 0
        assert db.get_one(Epoch, "agr_1").reason == "suspended"


def test_two_who_bump_at_once_are_both_counted(both: House) -> None:
    together = threading.Barrier(4)

    def stop() -> None:
        together.wait()
        for _ in range(5):
            with both.arrange() as db:
                bump(db, "agr_1", "suspended")

    threads = [threading.Thread(target=stop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    with both.runtime.database.reading() as db:
        assert total(db, ["agr_1"]) == 20


def test_old_answers_are_forgotten_and_young_ones_kept(house: House) -> None:
    days = house.runtime.settings.idempotency_days
    with house.db() as db:
        for age in (days - 1, days + 1):
            at = house.clock.now() - timedelta(days=age)
            db.add(KeptAnswer(id=f"{age}", body_hash="", status=200, media_type="", body=b"", kept_at=at))
    forget_old_answers(house.runtime)
    with house.runtime.database.reading() as db:
        assert db.exec(select(KeptAnswer.id)).all() == [f"{days - 1}"]


def test_who_only_reads_sees_one_state_of_the_database_to_the_end(both: House) -> None:
    with both.arrange() as db:
        open_epoch(db, "agr_1")
    with both.runtime.database.reading() as reader:
        before = total(reader, ("agr_1",))
        with both.arrange() as db:
            bump(db, "agr_1", "agreement_terminated")
        assert total(reader, ("agr_1",)) == before
    with both.runtime.database.reading() as db:
        assert total(db, ("agr_1",)) == before + 1
