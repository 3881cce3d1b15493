"""A write that is put together once keeps on both databases what SQLAlchemy would, and fails as it does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import bindparam, event, insert, select, update
from sqlalchemy.exc import IntegrityError, StatementError
from sqlmodel import col

from marketplace.plumbing.outbox import OutboxRow
from marketplace.plumbing.questions import Question
from marketplace.plumbing.writes import Write
from tests.house import House

NOON = datetime(2026, 9, 1, 12, 0, 0, 123456, tzinfo=UTC)
COLUMNS = ("id", "task", "args", "dedup_key", "asked_at", "due_at", "attempts", "leased_until")
INSERT = Write(insert(OutboxRow), COLUMNS)
MOVE = Write(
    update(OutboxRow).where(col(OutboxRow.id) == bindparam("row")).values(attempts=bindparam("number"), due_at=NOON)
)
READ = Question(
    select(col(OutboxRow.args), col(OutboxRow.due_at), col(OutboxRow.leased_until), col(OutboxRow.attempts))
    .where(col(OutboxRow.task) == bindparam("task"))
    .order_by(col(OutboxRow.id)),
    lambda *columns: columns,
)


def test_values_are_kept_and_read_in_the_form_that_sqlalchemy_gives_them(both: House) -> None:
    beijing, args = NOON.astimezone(timezone(timedelta(hours=8))), {"名": ["影像", None, 1]}
    plain = OutboxRow(id="obx_2", task="test.x", args=args, dedup_key="b", asked_at=NOON, due_at=beijing)
    with both.db() as db:
        values = plain.model_dump(include=set(COLUMNS)) | {"id": "obx_1", "dedup_key": "a"}
        INSERT.run(db, **values)
        db.add(plain)
        assert READ.rows(db, task="test.x") == [(args, NOON, None, 0)] * 2, "what is pending is written before"
        assert READ.first(db, task="test.y") is None
        assert MOVE.run(db, row="obx_1", number=3) == 1
        assert MOVE.run(db, row="obx_9", number=3) == 0
    with both.runtime.database.reading() as db:
        moved, other = db.get_one(OutboxRow, "obx_1"), db.get_one(OutboxRow, "obx_2")
        assert (moved.args, moved.due_at, moved.attempts) == (other.args, NOON, 3)
        assert moved.due_at.utcoffset() == timedelta(0)


def test_what_the_database_refuses_is_an_error_without_values(both: House) -> None:
    values = {"id": "obx_1", "task": "test.x", "args": {}, "dedup_key": "张伟", "asked_at": NOON, "due_at": NOON}
    values |= {"attempts": 0, "leased_until": None}
    with both.db() as db:
        INSERT.run(db, **values)
    with pytest.raises(IntegrityError) as caught, both.db() as db:
        INSERT.run(db, **values | {"id": "obx_2"})
    assert "INSERT" in str(caught.value)
    assert "张伟" not in str(caught.value).split("DETAIL")[0]
    with both.runtime.database.reading() as db:
        assert READ.rows(db, task="test.x") == [({}, NOON, None, 0)]


def test_a_value_that_is_missing_or_has_not_the_form_of_its_column_is_told_as_sqlalchemy_tells_it(both: House) -> None:
    row = {"row": "obx_1", "number": 3}
    naive = Write(update(OutboxRow).where(col(OutboxRow.id) == bindparam("row")).values(due_at=bindparam("due")))
    with both.db() as db:
        with pytest.raises(StatementError, match="row"):
            MOVE.run(db, number=3)
        with pytest.raises(StatementError, match="naive moment") as caught:
            naive.run(db, row="张伟", due=NOON.replace(tzinfo=None))
        assert "张伟" not in str(caught.value)
        assert MOVE.run(db, **row) == 0


def test_what_is_pending_is_written_before_and_who_listens_to_statements_hears_of_a_write(both: House) -> None:
    said: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        said.append(statement.split(maxsplit=1)[0])

    engine = both.runtime.database.engine
    event.listen(engine, "before_cursor_execute", note)
    with both.db() as db:
        db.add(OutboxRow(id="obx_1", task="test.x", args={}, dedup_key="a", asked_at=NOON, due_at=NOON))
        assert MOVE.run(db, row="obx_1", number=3) == 1
        assert said == ["INSERT", "UPDATE"]
    event.remove(engine, "before_cursor_execute", note)
