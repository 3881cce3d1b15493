"""The relay: each row's task runs once, however many workers look, and what fails stays visible."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from pydantic import SecretStr
from sqlmodel import Session

from marketplace.plumbing import bell, outbox
from marketplace.plumbing.outbox import LEASE, MAX_ATTEMPTS, OutboxRow
from marketplace.plumbing.runtime import Runtime
from tests.house import House
from tests.workers.parts import ask, rows, running, task, wait_until
from workers import attempts, relay
from workers.app import DATA, OUTBOX, PUSH, celery_app
from workers.attempts import run_row
from workers.instance import relays
from workers.keeper import Keeper
from workers.relay import RESEND, Dispatcher, Loop, Relay, embedded_relays, release_leases, run_due
from workers.tasks.within import Rest, Within


def rows_by_id(house: House) -> dict[str, OutboxRow]:
    return {row.id: row for row in rows(house)}


def test_a_row_runs_once_under_two_relays_on_one_database(house: House) -> None:
    ran: list[str] = []

    def note(_runtime: Runtime, args: dict[str, Any]) -> None:
        ran.append(args["key"])
        time.sleep(0.002)

    keys = [f"{number:02d}" for number in range(30)]
    with task("test.note", note):
        ask(house, "test.note", *keys)
        loops = [Loop(f"relay-{name}", lambda: run_due(house.runtime), 0.001).start() for name in ("a", "b")]
        wait_until(lambda: all(row.done_at for row in rows(house)))
        for loop in loops:
            loop.stop()
    assert sorted(ran) == keys
    assert {row.attempts for row in rows(house)} == {1}


def test_two_workers_at_the_same_moment_get_one_lease(house: House) -> None:
    (row,) = ask(house, "test.nothing", "one")
    together = threading.Barrier(4)
    taken: list[bool] = []

    def take() -> None:
        together.wait()
        with house.db() as db:
            taken.append(outbox.lease(db, row, house.clock.now()) is not None)

    in_threads([take] * 4)
    assert sorted(taken) == [False, False, False, True]


def test_the_same_key_asks_once(house: House) -> None:
    assert len(ask(house, "test.nothing", "one", "one", "two")) == 2
    assert len(ask(house, "test.nothing", "one")) == 2


def test_a_failing_task_waits_longer_each_time_and_is_visibly_given_up(house: House) -> None:
    runs: list[int] = []

    def fail(_runtime: Runtime, _args: dict[str, Any]) -> None:
        runs.append(1)
        raise RuntimeError("no paper in the printer")

    waits: list[float] = []
    with task("test.fail", fail):
        (row,) = ask(house, "test.fail", "one")
        for _ in range(MAX_ATTEMPTS):
            assert run_due(house.runtime) == 1
            assert not run_row(house.runtime, row)
            waits.append((rows(house)[0].due_at - house.clock.now()).total_seconds())
            house.clock.advance_to(rows(house)[0].due_at)
        house.clock.advance(timedelta(days=1))
        assert run_due(house.runtime) == 0
    assert waits == sorted(waits)
    assert waits[0] == 1
    assert waits[-1] == 1800
    assert len(runs) == MAX_ATTEMPTS
    given_up = rows(house)[0]
    assert given_up.given_up_at is not None
    assert given_up.done_at is None
    assert "no paper in the printer" in (given_up.last_error or "")


def test_the_lease_of_a_dead_worker_runs_out_and_the_row_runs_again(house: House) -> None:
    ran: list[str] = []
    with task("test.note", lambda _runtime, args: ran.append(args["key"])):
        (row,) = ask(house, "test.note", "one")
        with house.db() as db:
            assert outbox.lease(db, row, house.clock.now()) is not None  # and then the worker dies
        house.clock.advance(LEASE)
        assert run_due(house.runtime) == 0
        house.clock.advance(timedelta(seconds=1))
        assert run_due(house.runtime) == 1
    assert ran == ["one"]
    assert rows(house)[0].attempts == 2


def test_a_row_that_loses_every_worker_is_given_up(house: House) -> None:
    (row,) = ask(house, "test.nothing", "one")
    for _ in range(MAX_ATTEMPTS):
        with house.db() as db:
            assert outbox.lease(db, row, house.clock.now()) is not None
        house.clock.advance(LEASE + timedelta(seconds=1))
    assert run_due(house.runtime) == 0
    assert rows(house)[0].given_up_at is not None
    assert rows(house)[0].last_error == "every worker that took it was lost"


def test_an_embedded_start_frees_what_its_dead_process_held_and_blames_what_it_took_last(house: House) -> None:
    long, last, other = ask(house, "test.nothing", "one", "two", "three")
    for row in (long, last):
        with house.db() as db:
            assert outbox.lease(db, row, house.clock.now()) is not None
        house.clock.advance(timedelta(seconds=1))
    release_leases(house.runtime, lost=True)
    found = {row.id: row for row in rows(house)}
    assert {key: (row.attempts, row.leased_until) for key, row in found.items()} == {
        long: (0, None),
        last: (1, None),
        other: (0, None),
    }
    now = house.clock.now()
    assert [found[key].due_at - now for key in (last, long)] == [timedelta(seconds=1), timedelta(seconds=-2)]
    with house.db() as db:
        assert outbox.lease(db, long, now) is not None
    release_leases(house.runtime, lost=False)
    assert {row.id: row.attempts for row in rows(house)}[long] == 0, "an orderly end blames nobody"


@pytest.mark.parametrize("short", [True, False])
def test_embedded_work_that_kills_its_process_is_given_up_and_spares_what_ran_beside_it(
    house: House, short: bool
) -> None:
    class Died(BaseException):
        """The process is gone in the middle of the work."""

    def kill(*_anything: object) -> None:
        raise Died

    counted: list[int] = []
    with task("test.kills", Within(kill) if short else kill), task("test.long", lambda *_: None):
        (beside,), (kills,) = ask(house, "test.long", "one"), ask(house, "test.kills", "one")
        while rows_by_id(house)[kills].given_up_at is None:
            assert len(counted) <= MAX_ATTEMPTS, "it ends"
            house.clock.advance(timedelta(seconds=1))
            release_leases(house.runtime, lost=True)
            began = _began(house, "test.kills")
            house.clock.advance_to(max(one.due_at for one in rows(house)) + timedelta(seconds=1))
            with house.db() as db:
                assert outbox.lease(db, beside, house.clock.now()) is not None
            house.clock.advance(timedelta(milliseconds=1))
            with suppress(Died):
                began.step()
                continue
            counted.append(rows_by_id(house)[kills].attempts)
    assert counted == list(range(1, MAX_ATTEMPTS + 1)), "each was counted before it began"
    assert rows_by_id(house)[kills].last_error == "every worker that took it was lost"
    assert (rows_by_id(house)[beside].attempts, rows_by_id(house)[beside].given_up_at) == (1, None)


def _began(house: House, only: str) -> Relay:
    """The relay of a process that begins now."""
    return Relay(house.runtime, house.runtime.database.bell.part(only.__eq__), only=[only])


def test_what_was_asked_for_before_the_process_began_ends_as_ever(house: House) -> None:
    ends: list[BaseException | None] = [RuntimeError("not now"), None]

    def ask_for_more(db: Session, runtime: Runtime, args: dict[str, Any]) -> Rest | None:
        outbox.enqueue(db, "test.more", {}, key=args["key"], now=runtime.clock.now())
        if (end := ends.pop(0)) is not None:
            raise end
        return None

    with task("test.within", Within(ask_for_more)):
        (row,) = ask(house, "test.within", "one")
        house.clock.advance(timedelta(seconds=1))
        _began(house, "test.within").step()
        assert [(one.task, one.attempts, one.leased_until) for one in rows(house)] == [("test.within", 1, None)]
        house.clock.advance(timedelta(seconds=1))
        _began(house, "test.within").step()
    assert sorted((one.task, one.attempts, one.done_at is not None) for one in rows(house)) == [
        ("test.more", 0, False),
        ("test.within", 2, True),
    ]
    assert rows_by_id(house)[row].leased_until is None


def test_a_worker_that_lost_its_lease_cannot_take_the_row_from_its_successor(house: House) -> None:
    (row,) = ask(house, "test.nothing", "one")
    with house.db() as db:
        first = outbox.lease(db, row, house.clock.now())
        assert first is not None
    house.clock.advance(LEASE + timedelta(seconds=1))
    with house.db() as db:
        assert outbox.lease(db, row, house.clock.now()) is not None
        assert not outbox.renew(db, row, 1, house.clock.now())
        outbox.fail(db, row, 1, house.clock.now(), "late words")
    assert rows(house)[0].leased_until is not None
    assert rows(house)[0].last_error is None
    with house.db() as db:
        assert outbox.renew(db, row, 2, house.clock.now())
        outbox.finish(db, row, house.clock.now())
        outbox.fail(db, row, 2, house.clock.now(), "late words")
    assert rows(house)[0].done_at is not None
    assert rows(house)[0].last_error is None


def test_a_long_task_keeps_its_lease(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease lasts by the clock of the story; the keeper renews it at its own pace, however slow the machine is."""
    monkeypatch.setattr(outbox, "LEASE", timedelta(seconds=0.3))
    monkeypatch.setattr(attempts, "KEEPER", Keeper())  # that of others may still sleep for a third of the real lease
    seen: list[bool] = []

    def slow(runtime: Runtime, _args: dict[str, Any]) -> None:
        for _ in range(4):
            house.clock.advance(timedelta(seconds=0.2))
            wait_until(lambda: rows_by_id(house)[row].leased_until == house.clock.now() + outbox.LEASE)
            seen.append(run_row(runtime, row))

    with task("test.slow", slow):
        (row,) = ask(house, "test.slow", "one")
        assert run_row(house.runtime, row)
    assert seen == [False] * 4
    assert rows(house)[0].attempts == 1
    assert rows(house)[0].done_at is not None


def test_what_falls_due_later_is_run_though_the_bell_never_rests(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "IDLE_SECONDS", 0)
    ran: list[str] = []

    def again(runtime: Runtime, args: dict[str, Any]) -> None:
        ran.append(args["key"])
        with runtime.database.transaction() as db:
            key = str(len(ran))
            outbox.enqueue(db, "test.again", {"key": key}, key=key, now=runtime.clock.now())

    with task("test.again", again), task("test.later", lambda _runtime, args: ran.append(args["key"])):
        flooded = Relay(house.runtime, house.runtime.database.bell.part(lambda _topic: True))
        ask(house, "test.again", "0")
        with house.db() as db:
            due = house.clock.now() + timedelta(seconds=1)
            outbox.enqueue(db, "test.later", {"key": "later"}, key="one", now=house.clock.now(), due=due)
        flooded.step()
        house.clock.advance(timedelta(seconds=1))
        for _ in range(3):
            flooded.step()
    assert ran == ["0", "1", "later", "2"]


def test_short_work_and_its_row_are_one_transaction_whole_or_not_at_all(house: House) -> None:
    class Died(BaseException):
        """The process is gone in the middle of the work."""

    ends: list[BaseException | None] = [Died(), RuntimeError("not now"), None]

    def ask_for_more(db: Session, runtime: Runtime, args: dict[str, Any]) -> None:
        outbox.enqueue(db, "test.more", {}, key=args["key"], now=runtime.clock.now())
        if (end := ends.pop(0)) is not None:
            raise end

    def told() -> list[tuple[str, int, bool]]:
        return sorted((one.task, one.attempts, one.done_at is not None) for one in rows(house))

    with task("test.within", Within(ask_for_more)):
        (row,) = ask(house, "test.within", "one")
        with pytest.raises(Died):
            run_row(house.runtime, row)
        assert told() == [("test.within", 0, False)], "nothing has happened, and nobody holds the row"
        assert run_row(house.runtime, row)
        assert told() == [("test.within", 1, False)]
        assert "not now" in (rows(house)[0].last_error or "")
        house.clock.advance(timedelta(seconds=2))
        assert run_row(house.runtime, row)
        assert told() == [("test.more", 0, False), ("test.within", 2, True)]
        assert not run_row(house.runtime, row)


def test_short_work_that_kills_every_worker_is_given_up(house: House) -> None:
    class Died(BaseException):
        """The process is gone in the middle of the work."""

    def kill(_db: Session, _runtime: Runtime, _args: dict[str, Any]) -> None:
        raise Died

    with task("test.within", Within(kill)):
        (row,) = ask(house, "test.within", "one")
        for number in range(MAX_ATTEMPTS + 1):
            with pytest.raises(Died):
                run_row(house.runtime, row, again=number == 1)
            assert rows(house)[0].attempts == number, "counted before it began, but for the first"
            if number:
                # The broker brings the message again while the lease lasts, and then knows nothing of it any more.
                assert not run_row(house.runtime, row, again=True)
            house.clock.advance(LEASE + timedelta(seconds=1))
        assert not run_row(house.runtime, row)
    (found,) = rows(house)
    assert (found.given_up_at, found.last_error) == (house.clock.now(), "every worker that took it was lost")


def test_what_remains_outside_is_leased_and_ends_with_its_row(house: House) -> None:
    seen: list[object] = []

    def begin(_db: Session, runtime: Runtime, args: dict[str, Any]) -> Rest:
        def end(db: Session) -> None:
            outbox.enqueue(db, "test.more", {}, key=args["key"], now=runtime.clock.now())

        def rest() -> Any:
            seen.append((rows(house)[0].leased_until is not None, run_row(runtime, row)))
            return end

        return rest

    with task("test.within", Within(begin)):
        (row,) = ask(house, "test.within", "one")
        assert run_row(house.runtime, row)
    assert seen == [(True, False)]
    assert sorted((one.task, one.done_at is not None) for one in rows(house)) == [
        ("test.more", False),
        ("test.within", True),
    ]


def test_an_unknown_task_is_kept_with_its_error_and_does_not_stop_the_others(house: House) -> None:
    ran: list[str] = []
    with task("test.note", lambda _runtime, args: ran.append(args["key"])):
        ask(house, "test.of_the_next_release", "one")
        house.clock.advance(timedelta(seconds=1))
        ask(house, "test.note", "two")
        with running(embedded_relays(house.runtime)):
            wait_until(lambda: bool(ran))
    unknown = next(row for row in rows(house) if row.task == "test.of_the_next_release")
    assert ran == ["two"]
    assert unknown.done_at is None
    assert unknown.given_up_at is None
    assert "no task of this name" in (unknown.last_error or "")
    assert "test.of_the_next_release" in (unknown.last_error or "")


def test_a_task_that_waits_for_another_server_holds_up_no_other(house: House) -> None:
    ran: list[str] = []
    answered = threading.Event()
    with (
        task("transfer.push_notice", lambda _runtime, _args: answered.wait(120)),
        task("test.note", lambda _runtime, args: ran.append(args["key"])),
    ):
        ask(house, "transfer.push_notice", "hangs")
        house.clock.advance(timedelta(seconds=1))
        ask(house, "test.note", "two")
        with running(embedded_relays(house.runtime)):
            wait_until(lambda: bool(ran))
            answered.set()
            wait_until(lambda: all(row.done_at for row in rows(house)))


def test_each_kind_of_work_is_sent_to_its_own_queue(house: House) -> None:
    """Else a few receivers of data that take slowly would hold up every message and stop notice."""
    broker = f"memory://{house.runtime.settings.data_folder.name}"
    settings = house.runtime.settings.model_copy(update={"redis_url": SecretStr(broker)})
    kinds = {"dataspace.push": DATA, "dataspace.send": PUSH, "transfer.push_notice": PUSH, "test.note": OUTBOX}
    asked = {ask(house, name, "one")[0]: queue for name, queue in kinds.items()}
    sent: dict[str, str] = {}
    with celery_app(broker).connection_for_read() as connection:
        queues = {name: connection.SimpleQueue(name) for name in (OUTBOX, PUSH, DATA)}

        def all_sent() -> bool:
            for name, queue in queues.items():
                while queue.qsize():
                    sent[queue.get(block=False).payload[0][0]] = name
            return len(sent) == len(asked)

        with running(relays(replace(house.runtime, settings=settings))):
            wait_until(all_sent)
    assert sent == asked


def test_the_dispatcher_sends_a_row_again_only_after_its_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [1000.0]
    monkeypatch.setattr(relay.time, "monotonic", lambda: seconds[0])
    sent: list[str] = []
    dispatcher = Dispatcher(house.runtime, sent.append)
    first, second = ask(house, "test.nothing", "one", "two")
    assert dispatcher.step() == 2
    assert dispatcher.step() == 0
    seconds[0] += RESEND.total_seconds() - 0.1
    assert dispatcher.step() == 0
    with house.db() as db:
        outbox.lease(db, first, house.clock.now())
    seconds[0] += 0.2
    assert dispatcher.step() == 1
    assert sent[2:] == [second]


def test_a_row_whose_wake_up_could_not_be_sent_is_sent_later(house: House) -> None:
    broker_is_up = False
    sent: list[str] = []

    def send(row: str) -> None:
        if not broker_is_up:
            raise ConnectionError("the broker is away")
        sent.append(row)

    dispatcher = Dispatcher(house.runtime, send)
    ids = ask(house, "test.nothing", "one", "two")
    with pytest.raises(ConnectionError):
        dispatcher.step()
    broker_is_up = True
    assert dispatcher.step() == 2
    assert sorted(sent) == sorted(ids)


def test_a_loop_whose_step_fails_goes_on_and_slows_down() -> None:
    pauses = list[float]()

    class Stop(threading.Event):
        """Whoever waits for it notes for how long, and does not wait."""

        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout or 0)
            if len(pauses) == 11:
                self.set()
            return self.is_set()

    def fail() -> None:
        raise RuntimeError("a bad round")

    loop = Loop("failing", fail, 0.02)
    loop._stop = Stop()
    loop.start()._thread.join(120)
    assert pauses[:8] == [0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5]
    assert pauses[8:] == [relay.SLOWEST_SECONDS] * 3


def in_threads(functions: list[Any]) -> None:
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()


def test_work_that_this_process_asks_for_is_taken_up_at_once(house: House) -> None:
    """The loop would look again after an hour; a transaction and a shared commit each wake it."""
    done = threading.Semaphore(0)
    with task("example.bell", lambda _runtime, _args: done.release()):
        step = partial(run_due, house.runtime, 1, only=["example.bell"])
        with running([Loop("waiting", step, 3600, bell=house.runtime.database.bell)]):
            ask(house, "example.bell", "transaction")
            assert done.acquire(timeout=120)

            def unit(db: Session) -> None:
                outbox.enqueue(db, "example.bell", {}, key="shared", now=house.clock.now())

            house.runtime.database.grouped(unit)
            assert done.acquire(timeout=120)


def test_what_this_process_asks_for_is_run_without_a_search(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction names its rows to whoever runs them; a shared commit does not, so they are looked for."""
    done, looks, look = threading.Semaphore(0), list[str](), outbox.due_rows

    def counted(*args: Any, **wanted: Any) -> list[str]:
        looks.append("look")
        return look(*args, **wanted)

    monkeypatch.setattr(outbox, "due_rows", counted)
    monkeypatch.setattr(relay, "IDLE_SECONDS", 3600)
    database = house.runtime.database
    with (
        task("example.bell", lambda _runtime, _args: done.release()),
        running(embedded_relays(house.runtime)),
    ):
        wait_until(lambda: len(looks) == 3)
        ask(house, "example.bell", "one", "two", "two")
        with house.db() as db:
            outbox.enqueue(db, "example.bell", {}, key="three", now=house.clock.now())
            bell.ask(db, "what a reader waits for")
        for _ in ("one", "two", "three"):
            assert done.acquire(timeout=120)
        assert len(looks) == 3

        def unit(db: Session) -> None:
            outbox.enqueue(db, "example.bell", {}, key="shared", now=house.clock.now())

        database.grouped(unit)
        assert done.acquire(timeout=120)
        assert len(looks) == 3 + (database.groups is not None)
        assert not done.acquire(blocking=False)


def test_a_relay_looks_for_work_when_a_task_was_asked_for_and_not_when_something_moved(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, look = list[str](), outbox.due_rows

    def counted(*args: Any, **wanted: Any) -> list[str]:
        looks.append("look")
        return look(*args, **wanted)

    monkeypatch.setattr(outbox, "due_rows", counted)
    monkeypatch.setattr(relay, "IDLE_SECONDS", 3600)
    loops = [one for one in embedded_relays(house.runtime) if isinstance(one, Loop)]
    for rung, looked in (([], 3), (["exchanges of somebody"], 3), (["ledger.post"], 4), (["dataspace.send"], 5)):
        house.runtime.database.bell.ring(rung)
        for loop in loops:
            while loop._step():
                pass
        assert len(looks) == looked
