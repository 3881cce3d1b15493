"""Questions that are put together once answer as the session's own queries do, on either database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import pytest
from sqlalchemy import bindparam, event, inspect
from sqlalchemy.exc import InvalidRequestError, OperationalError
from sqlmodel import Session, col, select

from marketplace.participants.models import Participant
from marketplace.plumbing.outbox import OutboxRow
from marketplace.plumbing.questions import Objects, Question, Together, alone
from tests.house import START, House

LATER = START + timedelta(minutes=1)
TRIED = Question(
    select(OutboxRow.id, OutboxRow.asked_at, OutboxRow.args)
    .where(col(OutboxRow.asked_at) > bindparam("since"), col(OutboxRow.attempts).in_((0, 5)))
    .order_by(col(OutboxRow.id)),
    lambda *columns: columns,
)
NAMES = Question(
    select(OutboxRow.id).where(col(OutboxRow.asked_at) > bindparam("since"), col(OutboxRow.attempts) != 3), alone
)
NAMED = select(OutboxRow).where(col(OutboxRow.dedup_key) == bindparam("name"))


def put(db: Session, *names: str, asked_at: datetime = LATER) -> list[OutboxRow]:
    rows = [
        OutboxRow(id=name, task="test.nothing", args={"of": name}, dedup_key=name, asked_at=asked_at, due_at=START)
        for name in names
    ]
    db.add_all(rows)
    return rows


def test_rows_have_the_values_of_their_columns_and_what_is_pending_is_among_them(both: House) -> None:
    with both.db() as db:
        put(db, "obx_old", asked_at=START)
        put(db, "obx_two", "obx_one")
        expected = [("obx_one", LATER, {"of": "obx_one"}), ("obx_two", LATER, {"of": "obx_two"})]
        assert TRIED.rows(db, since=START) == expected
        assert (NAMES.rows(db, since=LATER), NAMES.first(db, since=LATER)) == ([], None)
        db.get_one(OutboxRow, "obx_two").attempts = 3
        assert NAMES.rows(db, since=START) == ["obx_one"]


def test_a_row_comes_as_the_one_object_that_the_session_has_of_it(both: House) -> None:
    with both.db() as db:
        put(db, "obx_one", "obx_two")
    with both.db() as db:
        asked = Objects(OutboxRow, NAMED).first(db, name="obx_one")
        assert asked is db.get(OutboxRow, "obx_one") is db.exec(NAMED, params={"name": "obx_one"}).first()
        assert asked is not None
        assert asked not in db.dirty
        asked.attempts = 7
        assert Objects(OutboxRow, NAMED).all(db, name="obx_one")[0].attempts == 7
        assert Objects(OutboxRow, NAMED).first(db, name="obx_none") is None
    with both.db() as db:
        assert db.get_one(OutboxRow, "obx_one").attempts == 7
        beside = select(OutboxRow, Participant).join(Participant, col(Participant.id) != col(OutboxRow.id))
        both_ids = col(OutboxRow.id) == bindparam("row"), col(Participant.id) == bindparam("party")
        pair, party = Together((OutboxRow, Participant), beside.where(*both_ids)), both.cast["pharma"].id
        found = pair.first(db, row="obx_two", party=party)
        assert found is not None
        assert [one is db.get(type(one), one.id) for one in found] == [True, True]
        assert (found[0].dedup_key, found[1].id) == ("obx_two", party)
        assert pair.first(db, row="obx_none", party=party) is None


def test_a_row_that_was_deleted_or_taken_back_is_not_found_by_its_key(both: House) -> None:
    with both.db() as db:
        put(db, "obx_one", "obx_two")
    with both.db() as db:
        kept = db.get_one(OutboxRow, "obx_two")
        db.delete(db.get_one(OutboxRow, "obx_one"))
        db.flush()
        assert db.get(OutboxRow, "obx_one") is None
        with db.begin_nested() as inner:
            put(db, "obx_new")
            kept.attempts = 9
            assert db.get_one(OutboxRow, "obx_new").asked_at == LATER
            inner.rollback()
        assert (db.get(OutboxRow, "obx_new"), kept.attempts) == (None, 0)
        db.delete(kept)
        db.flush()
        with pytest.raises(InvalidRequestError):
            db.refresh(kept, with_for_update=True)


def test_a_row_that_is_read_anew_shows_what_another_statement_made_of_it(both: House) -> None:
    with both.db() as db:
        put(db, "obx_one")
    with both.db() as db:
        known = db.get_one(OutboxRow, "obx_one")
        table = OutboxRow.__table__
        db.connection().execute(table.update().values(attempts=4, args={}))
        assert (db.get_one(OutboxRow, "obx_one").attempts, known.args) == (0, {"of": "obx_one"})
        assert db.get(OutboxRow, "obx_one", populate_existing=True) is known
        assert (known.attempts, known.args) == (4, {})
        db.connection().execute(table.update().values(attempts=5))
        known.attempts = 1
        db.refresh(known)
        assert (known.attempts, known in db.dirty) == (5, False)


def test_a_question_that_locks_rows_overwrites_what_the_session_has_of_them(both: House) -> None:
    with both.db() as db:
        put(db, "obx_one")
    with both.db() as db:
        known = db.get_one(OutboxRow, "obx_one")
        db.connection().execute(OutboxRow.__table__.update().values(attempts=4))
        assert Objects(OutboxRow, NAMED).first(db, name="obx_one") is known
        assert known.attempts == 0
        assert Objects(OutboxRow, NAMED.with_for_update()).first(db, name="obx_one") is known
        assert (known.attempts, known in db.dirty) == (4, False)


def test_who_listens_to_statements_hears_of_each_question_and_a_failure_is_told_as_any_other(house: House) -> None:
    said: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        said.append(statement)

    event.listen(house.runtime.database.engine, "before_cursor_execute", note)
    with house.db() as db:
        assert (Objects(OutboxRow, NAMED).first(db, name="none"), db.get(OutboxRow, "none")) == (None, None)
        assert len([one for one in said if "FROM outbox" in one]) == 2
        db.connection().exec_driver_sql("ALTER TABLE outbox RENAME TO gone")
        with pytest.raises(OperationalError, match="no such table: outbox"):
            TRIED.rows(db, since=START)
        db.connection().exec_driver_sql("ALTER TABLE gone RENAME TO outbox")
    event.remove(house.runtime.database.engine, "before_cursor_execute", note)


def test_a_list_that_differs_from_call_to_call_is_refused_rather_than_found_empty(house: House) -> None:
    any_of = Question(select(OutboxRow.id).where(col(OutboxRow.id).in_(bindparam("names", expanding=True))), alone)
    with house.db() as db, pytest.raises(ValueError, match="stands for a list"):
        any_of.rows(db, names=["obx_one"])


def test_rows_are_found_by_whoever_listens_to_the_session_as_it_writes(both: House) -> None:
    found: list[object] = []

    def look(db: Session, _context: object) -> None:
        found.append((NAMES.rows(db, since=START), db.get(OutboxRow, "obx_one")))

    with both.db() as db:
        put(db, "obx_one")
    with both.db() as db:
        put(db, "obx_old", asked_at=START)
        event.listen(db, "after_flush", look)
        db.flush()
        assert found == [(["obx_one"], db.get(OutboxRow, "obx_one"))]


@pytest.mark.parametrize("lock", [None, True], ids=["plain", "held"])
def test_a_key_in_another_form_than_the_rows_gives_the_one_object(house: House, lock: bool | None) -> None:
    """SQLite compares by the column's type: the number 7 and the text of it are one key."""
    with house.db() as db:
        put(db, "7")
        known = db.get(OutboxRow, "7")
        assert known is not None
        assert db.get(OutboxRow, 7, populate_existing=True, with_for_update=lock) is known


LOADED: Sequence[Callable[[Session], OutboxRow | None]] = (
    lambda db: db.exec(NAMED, params={"name": "obx_one"}).first(),
    lambda db: Objects(OutboxRow, NAMED).first(db, name="obx_one"),
    lambda db: db.get(OutboxRow, "obx_one"),
)


@pytest.mark.parametrize("load", LOADED, ids=["query", "question", "key"])
def test_an_object_lives_on_alike_however_it_was_loaded(
    both: House, load: Callable[[Session], OutboxRow | None]
) -> None:
    with both.db() as db:
        put(db, "obx_one")
    with both.db() as db:
        one = load(db)
        assert one is not None
        state = inspect(one)
        assert (state.persistent, state.unloaded, state.modified, one.model_dump()["leased_until"]) == (
            True,
            set(),
            False,
            None,
        )
        with db.begin_nested() as inner:
            one.args = {"of": "within"}
            db.flush()
            inner.rollback()
        assert one.args == {"of": "obx_one"}, "a savepoint takes back what was changed in it"
        db.expire(one)
        assert (one.attempts, one.asked_at) == (0, LATER)
        one.attempts = 2
        assert inspect(one).attrs.attempts.history.deleted == [0]
        assert Objects(OutboxRow, NAMED).first(db, name="obx_one") is one, "what is pending is written, and kept"
        db.delete(one)
        db.flush()
        assert load(db) is None
        db.rollback()
        assert load(db) is one
        assert one.attempts == 0
