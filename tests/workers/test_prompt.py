"""Short work is begun in the transaction that asks for it: committed with it, or it has never happened."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.audit.evidence import NoEntry
from marketplace.exchange.models import Listing
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.plumbing import outbox
from marketplace.plumbing.outbox import LEASE, OutboxRow
from marketplace.plumbing.runtime import Runtime
from tests.exchange.parts import listed
from tests.house import House
from tests.transfer.doors import entries
from tests.workers.parts import ask, rows, running, task, wait_until
from workers.prompt import PLACES, Prompt
from workers.relay import embedded_relays, release_leases, run_due
from workers.tasks.within import Rest, Within

NAME = "test.prompt"


@pytest.fixture
def prompt(house: House) -> Iterator[Prompt]:
    """Begins what this house asks for; no relay runs beside it."""
    made = Prompt(house.runtime)
    with running([made]):
        yield made


class Stumbled(Exception):
    """What a verb raises."""


class Held:
    """A task that began and goes on when it is let, as one does that waits for another server."""

    def __init__(self) -> None:
        self.goes_on, self.began = threading.Event(), list[str]()
        self.task = Within(self._begin, prompt=True)

    def _begin(self, _db: Session, _runtime: Runtime, args: dict[str, Any]) -> Rest:
        self.began.append(args["key"])

        def rest() -> None:
            assert self.goes_on.wait(120)

        return rest


def states(house: House) -> list[tuple[int, bool]]:
    """Of every row, how often it was taken and whether it is done."""
    return [(one.attempts, one.done_at is not None) for one in rows(house) if one.task.startswith("test.")]


def test_what_is_asked_for_is_taken_by_the_same_commit_and_goes_on_after_it(house: House, prompt: Prompt) -> None:
    seen: list[tuple[int, bool]] = []
    over = threading.Event()

    def begin(_db: Session, _runtime: Runtime, args: dict[str, Any]) -> Rest:
        assert rows(house) == [], "nobody else sees it yet"

        def end(db: Session) -> None:
            outbox.enqueue(db, "test.more", {}, key=args["key"], now=house.clock.now())
            over.set()

        def rest() -> Any:
            seen.extend(states(house))
            return end

        return rest

    with task(NAME, Within(begin, prompt=True)), task("test.more", Within(lambda *_: None)):
        with house.db() as db:
            outbox.enqueue(db, NAME, {"key": "one"}, key="one", now=house.clock.now())
        assert over.wait(120)
        wait_until(lambda: len(rows(house)) == 2)
    assert seen == [(1, False)], "its row is leased meanwhile, so no relay takes it"
    assert sorted(states(house)) == [(0, False), (1, True)], "what is not prompt is left to the relay"


def test_what_is_done_at_once_is_done_with_the_verb_and_so_is_what_it_asks_for(house: House, prompt: Prompt) -> None:
    def begin(db: Session, _runtime: Runtime, args: dict[str, Any]) -> None:
        if args["key"] != "three":
            following = {"one": "two", "two": "three"}[args["key"]]
            outbox.enqueue(db, NAME, {"key": following}, key=following, now=house.clock.now())

    with task(NAME, Within(begin, prompt=True)):
        with house.db() as db:
            record(db, SERVICE_ACTOR, Tag.REQUEST_REFUSED, house.clock.now(), facts={"route": "x", "reason": "x"})
            outbox.enqueue(db, NAME, {"key": "one"}, key="one", now=house.clock.now())
        assert states(house) == [(1, True)] * 3
    assert len(entries(house, Tag.REQUEST_REFUSED)) == 1


def test_a_transaction_that_does_not_commit_has_begun_nothing(house: House, prompt: Prompt) -> None:
    listing, held = listed(house), Held()

    def change_without_entry(key: str) -> None:
        with house.db() as db:
            outbox.enqueue(db, NAME, {"key": key}, key=key, now=house.clock.now())
            found = db.get_one(Listing, listing.id)
            found.state = "withdrawn"
            db.add(found)

    def stumble(key: str) -> None:
        with house.db() as db:
            outbox.enqueue(db, NAME, {"key": key}, key=key, now=house.clock.now())
            raise Stumbled

    lost = [f"lost-{number}" for number in range(PLACES + 1)]
    with task(NAME, held.task):
        for key in lost:
            with pytest.raises(NoEntry):
                change_without_entry(key)
        assert states(house) == []
        assert held.began == lost, "each had its place again"

        with pytest.raises(Stumbled):
            stumble("stumbled")
        assert held.began == lost, "a verb that raises does not come to its commit"

        ask(house, NAME, "kept")
        held.goes_on.set()
        wait_until(lambda: states(house) == [(1, True)])


def test_what_fails_takes_nothing_of_the_verb_with_it_and_is_tried_again_by_the_relay(
    house: House, prompt: Prompt
) -> None:
    fails = [True]

    def begin(db: Session, _runtime: Runtime, _args: dict[str, Any]) -> None:
        outbox.enqueue(db, "test.half", {}, key="half", now=house.clock.now())
        if fails:
            raise RuntimeError("no paper in the printer")

    with task(NAME, Within(begin, prompt=True)):
        with house.db() as db:
            record(db, SERVICE_ACTOR, Tag.REQUEST_REFUSED, house.clock.now(), facts={"route": "x", "reason": "x"})
            outbox.enqueue(db, NAME, {}, key="one", now=house.clock.now())
        assert len(entries(house, Tag.REQUEST_REFUSED)) == 1
        assert states(house) == [(0, False)], "no half of it is left"

        run_due(house.runtime)
        (row,) = rows(house)
        assert (row.attempts, row.last_error) == (1, "RuntimeError: no paper in the printer")
        fails.clear()
        house.clock.advance_to(row.due_at)
        run_due(house.runtime)
        assert [(one.task, one.done_at is not None) for one in rows(house)] == [(NAME, True), ("test.half", False)]


def test_an_error_that_ends_the_whole_transaction_fails_the_verb_and_keeps_nothing_of_it(
    house: House, prompt: Prompt
) -> None:
    """As a full disk does, or a connection that breaks: the savepoint of the task is gone with all the rest."""
    began = list[str]()

    def begin(db: Session, _runtime: Runtime, args: dict[str, Any]) -> Rest | None:
        began.append(args["key"])
        connection = db.connection()
        if args["key"] == "goes on":
            return lambda: None
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA max_page_count=1")  # no page more than there are
            outbox.enqueue(db, NAME, {"key": "x" * 200_000}, key="large", now=house.clock.now())
        else:
            connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
        return None

    def verb() -> None:
        with house.db() as db:
            record(db, SERVICE_ACTOR, Tag.REQUEST_REFUSED, house.clock.now(), facts={"route": "x", "reason": "x"})
            for key in ("goes on", "ends all", "comes after"):
                outbox.enqueue(db, NAME, {"key": key}, key=key, now=house.clock.now())

    with task(NAME, Within(begin, prompt=True)):
        with pytest.raises(SQLAlchemyError):
            verb()
        assert (states(house), entries(house, Tag.REQUEST_REFUSED)) == ([], [])
        assert began[:2] == ["goes on", "ends all"]

        house.runtime.database.engine.dispose()
        began.clear()
        with house.db() as db:
            for number in range(PLACES):
                outbox.enqueue(db, NAME, {"key": "goes on"}, key=f"{number}", now=house.clock.now())
        assert began == ["goes on"] * PLACES, "each place is free again"
        wait_until(lambda: states(house) == [(1, True)] * PLACES)


def test_what_records_something_gets_a_transaction_of_its_own(house: House, prompt: Prompt) -> None:
    """A receipt of the verb's request promises the verb's entries, which are known before its commit."""

    def begin(db: Session, _runtime: Runtime, _args: dict[str, Any]) -> None:
        record(db, SERVICE_ACTOR, Tag.REQUEST_REFUSED, house.clock.now(), facts={"route": "x", "reason": "x"})

    with task(NAME, Within(begin, prompt=True)):
        ask(house, NAME, "one")
        assert (states(house), entries(house, Tag.REQUEST_REFUSED)) == ([(0, False)], [])
        run_due(house.runtime)
    assert (states(house), len(entries(house, Tag.REQUEST_REFUSED))) == ([(1, True)], 1)


def test_a_request_that_a_savepoint_took_back_is_not_begun(house: House, prompt: Prompt) -> None:
    held = Held()

    def stumble(db: Session) -> None:
        with db.begin_nested():
            outbox.enqueue(db, NAME, {"key": "one"}, key="one", now=house.clock.now())
            raise Stumbled

    with task(NAME, held.task), house.db() as db, pytest.raises(Stumbled):
        stumble(db)
    assert (held.began, rows(house)) == ([], [])


def test_a_savepoint_of_the_verb_begins_nothing_before_its_end(house: House, prompt: Prompt) -> None:
    held = Held()
    held.goes_on.set()
    with task(NAME, held.task):
        with house.db() as db:
            with db.begin_nested():
                outbox.enqueue(db, NAME, {"key": "one"}, key="one", now=house.clock.now())
            assert held.began == []
        wait_until(lambda: states(house) == [(1, True)])


def test_what_finds_no_free_thread_is_left_to_the_relay(house: House) -> None:
    held = Held()
    keys = [f"{number}" for number in range(PLACES + 2)]
    with task(NAME, held.task), running(embedded_relays(house.runtime)):
        for key in keys[:PLACES]:
            ask(house, NAME, key)
        assert held.began == keys[:PLACES]
        ask(house, NAME, *keys[PLACES:])
        wait_until(lambda: len(held.began) == PLACES + 1)
        held.goes_on.set()
        wait_until(lambda: states(house) == [(1, True)] * len(keys))
    assert sorted(held.began) == keys


def test_nobody_is_waited_for_by_what_is_only_prompt(house: House, prompt: Prompt) -> None:
    """Who holds what a task needs may itself wait for the verb that asked for it."""
    if house.runtime.database.is_sqlite:
        pytest.skip("there is one writer at a time")
    ask(house, "test.other", "held")
    (other,) = rows(house)

    def begin(db: Session, _runtime: Runtime, _args: dict[str, Any]) -> None:
        db.get_one(OutboxRow, other.id, with_for_update=True, populate_existing=True)

    with task(NAME, Within(begin, prompt=True)):
        with house.db() as holder:
            holder.get_one(OutboxRow, other.id, with_for_update=True, populate_existing=True)
            ask(house, NAME, "one")
            assert (0, False) in states(house)
        run_due(house.runtime, only=[NAME])
    assert {one.task: one.done_at is not None for one in rows(house)} == {"test.other": False, NAME: True}


def test_the_end_of_a_verb_waits_for_others_again_after_what_was_prompt(house: House, prompt: Prompt) -> None:
    waits = list[str]()

    def begin(db: Session, _runtime: Runtime, _args: dict[str, Any]) -> None:
        waits.append(lock_timeout(db))

    if house.runtime.database.is_sqlite:
        pytest.skip("there is one writer at a time")
    with task(NAME, Within(begin, prompt=True)), house.db() as db:
        before = lock_timeout(db)
        outbox.enqueue(db, NAME, {}, key="one", now=house.clock.now())
        prompt._begin(db, [])
        waits.append(lock_timeout(db))
    assert waits == ["1ms", before]


def lock_timeout(db: Session) -> str:
    return str(db.connection().exec_driver_sql("SHOW lock_timeout").scalar_one())


def test_what_a_dead_process_had_begun_is_taken_over(
    house: House, prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held()
    held.goes_on.set()
    with task(NAME, held.task):
        monkeypatch.setattr(prompt, "_hand_over", lambda _begun: None)  # killed right after the commit
        ask(house, NAME, "one", "two")
        assert run_due(house.runtime) == 0
        house.clock.advance(LEASE + timedelta(seconds=1))
        assert run_due(house.runtime) == 2
    assert states(house) == [(2, True)] * 2
    assert held.began == ["one", "two"] * 2


def test_a_stop_waits_for_what_was_begun_and_begins_nothing_more(house: House) -> None:
    held, prompt = Held(), Prompt(house.runtime)
    with task(NAME, held.task):
        prompt.start()
        late = house.runtime.database.session(write=True)
        ask(house, NAME, "one")
        threading.Timer(0.05, held.goes_on.set).start()
        prompt.stop()
        assert states(house) == [(1, True)]
        ask(house, NAME, "two")
        assert states(house) == [(1, True), (0, False)]

        with late:
            outbox.enqueue(late, NAME, {"key": "three"}, key="three", now=house.clock.now())
            late.commit()
        assert states(house) == [(1, True), (0, False), (1, True)], "who began it before the stop ends it"
    release_leases(house.runtime, lost=False)


def test_a_verb_that_is_committed_does_not_fail_with_what_it_began(house: House) -> None:
    """Though not even the error of the task could be kept; a stop has the verb's own thread go on with it."""
    prompt, went_on = Prompt(house.runtime), list[str]()

    def begin(_db: Session, _runtime: Runtime, _args: dict[str, Any]) -> Rest:
        def rest() -> None:
            went_on.append("one")
            raise RuntimeError("no paper in the printer")

        return rest

    with house.db() as db:
        if house.runtime.database.is_sqlite:
            refused = "BEFORE UPDATE ON outbox WHEN new.last_error IS NOT NULL BEGIN SELECT RAISE(ABORT, 'no'); END"
            db.connection().exec_driver_sql(f"CREATE TRIGGER no_errors {refused}")
        else:
            db.connection().exec_driver_sql("ALTER TABLE outbox ADD CONSTRAINT no_errors CHECK (last_error IS NULL)")
    with task(NAME, Within(begin, prompt=True)):
        prompt.start()
        late = house.runtime.database.session(write=True)
        prompt.stop()
        with late:
            outbox.enqueue(late, NAME, {"key": "one"}, key="one", now=house.clock.now())
            late.commit()
        assert (went_on, states(house)) == (["one"], [(1, False)])
        house.clock.advance(LEASE + timedelta(seconds=1))
        with house.runtime.database.reading() as db:
            assert len(outbox.due_rows(db, house.clock.now(), limit=9)) == 1, "the relay takes it over"
