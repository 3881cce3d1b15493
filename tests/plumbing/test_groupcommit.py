"""Units of many threads in shared commits: each whole or absent, answered when durable, none lost, nobody stuck."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as WaitedTooLong
from sqlmodel import Session

from marketplace.plumbing import groupcommit, sqlite
from marketplace.plumbing.db import Database
from marketplace.plumbing.groupcommit import UnitInUnit
from tests.house import House

THREADS = 16


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'units.sqlite3'}")
    with opened.transaction() as db:
        run(db, "CREATE TABLE unit (name TEXT PRIMARY KEY, parent TEXT REFERENCES unit)")
    yield opened
    opened.dispose()


def run(db: Session, sql: str, **values: object) -> None:
    db.connection().execute(text(sql), values)


def insert(db: Session, name: str, parent: str | None = None) -> str:
    run(db, "INSERT INTO unit VALUES (:name, :parent)", name=name, parent=parent)
    return name


def stored(database: Database) -> list[str]:
    """What another connection sees, in the order of writing."""
    with sqlite3.connect(str(database.url.database)) as outside:
        return [name for (name,) in outside.execute("SELECT name FROM unit ORDER BY rowid")]


def in_threads(count: int, work: Callable[[int], object]) -> list[object]:
    """Results, or exceptions, of `count` threads that start together."""
    together = threading.Barrier(count)

    def one(number: int) -> object:
        together.wait(60)
        try:
            return work(number)
        except Exception as error:  # noqa: BLE001
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count), timeout=120))


@contextmanager
def gathered(database: Database, units: list[Callable[[Session], object]]) -> Iterator[list[object]]:
    """One group of exactly these units: the leader has no turn to write before all of them wait, and no haste then."""
    outcomes = list[object]([None] * len(units))
    assert database.groups is not None
    groups = database.groups

    def call(place: int) -> None:
        try:
            outcomes[place] = groups.run(units[place])
        except Exception as error:  # noqa: BLE001
            outcomes[place] = error

    turn = database._turn
    turn.take()
    threads = []
    for place in range(len(units)):
        threads.append(threading.Thread(target=call, args=(place,)))
        threads[-1].start()
        until(lambda place=place: len(groups._waiting) == place + 1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(groupcommit, "MOST_SECONDS", 3600)
        turn.give_back()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
    yield outcomes


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_nothing_is_lost_and_each_is_durable_when_answered(database: Database) -> None:
    def work(number: int) -> int:
        with sqlite3.connect(str(database.url.database), check_same_thread=False) as outside:
            for i in range(20):
                name = database.grouped(lambda db, i=i: insert(db, f"{number}-{i}"))
                assert outside.execute("SELECT count(*) FROM unit WHERE name = ?", (name,)).fetchone() == (1,)
        return number

    assert in_threads(THREADS, work) == list(range(THREADS))
    assert sorted(stored(database)) == sorted(f"{n}-{i}" for n in range(THREADS) for i in range(20))
    assert database.groups is not None
    assert database.groups.units == THREADS * 20
    assert database.groups.commits < database.groups.units, "no two units ever shared a commit"


def test_units_of_one_thread_keep_their_order(database: Database) -> None:
    def work(number: int) -> None:
        for i in range(10):
            database.grouped(lambda db, i=i: insert(db, f"{number}-{i}"))

    assert in_threads(8, work) == [None] * 8
    for number in range(8):
        mine = [name for name in stored(database) if name.startswith(f"{number}-")]
        assert mine == [f"{number}-{i}" for i in range(10)]


def test_a_unit_that_raises_is_rolled_back_alone_and_its_caller_gets_its_own_exception(database: Database) -> None:
    def failing(db: Session) -> None:
        insert(db, "half")
        raise LookupError("mine")

    def doubled(db: Session) -> None:
        insert(db, "third")
        insert(db, "first")

    units = [lambda db: insert(db, "first"), failing, lambda db: insert(db, "second"), doubled]
    with gathered(database, units) as outcomes:
        assert outcomes[0] == "first"
        assert isinstance(outcomes[1], LookupError)
        assert outcomes[2] == "second"
        assert isinstance(outcomes[3], IntegrityError)
    assert stored(database) == ["first", "second"]
    assert database.groups is not None
    assert database.groups.commits == 1


def test_a_unit_that_goes_on_after_its_own_rollback_is_still_whole_or_absent(database: Database) -> None:
    def stubborn(db: Session) -> None:
        insert(db, "lost")
        db.rollback()
        insert(db, "late")
        raise LookupError

    with gathered(database, [lambda db: insert(db, "before"), stubborn, lambda db: insert(db, "after")]) as outcomes:
        assert isinstance(outcomes[1], LookupError)
    assert stored(database) == ["before", "after"]


def test_savepoints_inside_a_unit_work(database: Database) -> None:
    def nested(db: Session) -> str:
        insert(db, "x")
        with pytest.raises(IntegrityError), db.begin_nested():
            insert(db, "x")
        return insert(db, "y")

    with gathered(database, [nested, lambda db: insert(db, "z")]) as outcomes:
        assert outcomes == ["y", "z"]
    assert stored(database) == ["x", "y", "z"]


def test_when_the_commit_fails_every_caller_hears_it_and_nothing_holds(database: Database) -> None:
    def orphan(db: Session) -> None:
        # The foreign key is checked at the commit, so the unit itself succeeds.
        run(db, "PRAGMA defer_foreign_keys=ON")
        insert(db, "orphan", parent="nobody")

    def failing(_db: Session) -> None:
        raise LookupError("mine")

    units = [lambda db: insert(db, "first"), orphan, failing, lambda db: insert(db, "last")]
    with gathered(database, units) as outcomes:
        assert [type(one) for one in outcomes] == [IntegrityError, IntegrityError, LookupError, IntegrityError]
    assert stored(database) == []
    assert database.grouped(lambda db: insert(db, "next")) == "next"


def test_an_error_that_ends_the_whole_transaction_fails_the_whole_group(database: Database) -> None:
    with database.transaction() as db:
        run(
            db,
            "CREATE TRIGGER bomb BEFORE INSERT ON unit WHEN new.name = 'bomb' "
            "BEGIN SELECT RAISE(ROLLBACK, 'boom'); END",
        )

    def swallow(db: Session) -> str:
        with pytest.raises(IntegrityError, match="boom"):
            insert(db, "bomb")
        return "I noticed nothing"

    with gathered(database, [lambda db: insert(db, "first"), swallow, lambda db: insert(db, "rest")]) as outcomes:
        assert isinstance(outcomes[0], DBAPIError)
        assert isinstance(outcomes[1], DBAPIError)
    # The unit that had not begun went into the next group.
    assert stored(database) == ["rest"]


def test_a_full_disk_fails_whoever_wrote_and_the_next_goes_on(database: Database) -> None:
    database.grouped(lambda db: insert(db, "before"))

    def fill(db: Session) -> None:
        run(db, "PRAGMA max_page_count=8")
        insert(db, "x" * 200_000)

    with gathered(database, [lambda db: insert(db, "beside"), fill]) as outcomes:
        assert isinstance(outcomes[1], OperationalError)
        assert "full" in str(outcomes[1])
    held = stored(database)
    assert ("beside" in held) == (outcomes[0] == "beside")
    assert database.grouped(lambda db: insert(db, "after")) == "after"


def test_plain_transactions_get_their_turn_among_groups(database: Database) -> None:
    done, too_late = [0] * THREADS, time.monotonic() + 60

    def work(number: int) -> None:
        """Write without a rest until each of all has had some turns."""
        while min(done) <= 5 and time.monotonic() < too_late:
            name = f"{number}-{done[number]}"
            if number % 4:
                database.grouped(lambda db, name=name: insert(db, name))
            else:
                with database.transaction() as db:
                    insert(db, name)
            done[number] += 1

    assert in_threads(THREADS, work) == [None] * THREADS
    assert min(done) > 5, done
    assert len(stored(database)) == sum(done)


def test_another_writer_that_holds_the_lock_is_waited_for_and_then_fails_only_those_who_waited(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.2)
    database.dispose()
    other = sqlite3.connect(str(database.url.database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    outcomes = in_threads(4, lambda n: database.grouped(lambda db: insert(db, str(n))))
    assert all(isinstance(one, OperationalError) and "locked" in str(one) for one in outcomes)
    other.execute("COMMIT")
    assert database.grouped(lambda db: insert(db, "now")) == "now"
    assert stored(database) == ["now"]
    other.close()


def test_a_unit_in_a_unit_is_refused_at_once(database: Database) -> None:
    with pytest.raises(UnitInUnit):
        database.grouped(lambda _db: database.grouped(lambda db: insert(db, "inner")))
    assert stored(database) == []


def test_a_unit_sees_the_context_of_its_caller_and_nothing_of_its_neighbours(database: Database) -> None:
    name: ContextVar[str] = ContextVar("name")

    def work(number: int) -> tuple[str, list[str]]:
        name.set(str(number))

        def unit(db: Session) -> tuple[str, list[str]]:
            db.info.setdefault("seen", []).append(name.get())
            insert(db, name.get())
            return name.get(), list(db.info["seen"])

        return database.grouped(unit)

    assert in_threads(THREADS, work) == [(str(n), [str(n)]) for n in range(THREADS)]


def test_a_database_that_was_disposed_of_opens_again(database: Database) -> None:
    for name in ("one", "two"):
        assert database.grouped(lambda db, name=name: insert(db, name)) == name
        database.dispose()
    assert stored(database) == ["one", "two"]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_that_was_forked_writes_with_a_connection_of_its_own(database: Database) -> None:
    database.grouped(lambda db: insert(db, "parent"))
    child = os.fork()
    if child == 0:
        try:
            database.grouped(lambda db: insert(db, "child"))
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    database.grouped(lambda db: insert(db, "parent again"))
    assert stored(database) == ["parent", "child", "parent again"]


def test_turns_are_given_in_the_order_of_asking() -> None:
    turn, order = sqlite.Turn(), list[int]()

    def ask(number: int) -> None:
        turn.take()
        order.append(number)
        turn.give_back()

    turn.take()
    threads = []
    for number in range(5):
        threads.append(threading.Thread(target=ask, args=(number,)))
        threads[-1].start()
        until(lambda number=number: len(turn._waiting) == number + 1)
    with pytest.raises(WaitedTooLong):
        turn.take(0.01)
    turn.give_back()
    for thread in threads:
        thread.join(60)
    assert order == list(range(5))


def test_on_either_database_a_unit_is_a_whole_transaction(both: House) -> None:
    def failing(db: Session) -> None:
        run(db, "UPDATE participant SET is_example = false")
        raise LookupError

    with pytest.raises(LookupError):
        both.runtime.database.grouped(failing)
    with both.runtime.database.reading() as db:
        found = db.connection().execute(text("SELECT DISTINCT is_example FROM participant")).scalars().all()
    assert [bool(one) for one in found] == [True]
