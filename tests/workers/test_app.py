"""The Celery application on a real Redis: it runs rows by JSON messages and refuses anything pickled."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from celery._state import _task_stack
from sqlmodel import select

from marketplace.plumbing import outbox
from marketplace.plumbing.db import Database
from marketplace.plumbing.migrations import migrate
from marketplace.plumbing.outbox import OutboxRow
from marketplace.settings import Settings
from tests.house import House
from tests.servers import redis_path, redis_server
from workers import app, relay
from workers.app import RUN_ROW, celery_app
from workers.tasks.within import Within


class Trap:
    """What an attacker who reaches the broker would send."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> object:
        return (os.system, (f"touch {self.marker}",))


@dataclass(frozen=True)
class Works:
    """A worker process on a database and a broker of its own."""

    redis_url: str
    database: Database
    folder: Path
    log: Path

    def ask(self, key: str) -> str:
        """A row for a task that no release knows: the worker that took it leaves its error on the row."""
        with self.database.transaction() as db:
            outbox.enqueue(db, "test.unknown", {}, key=key, now=datetime.now(UTC))
        with self.database.reading() as db:
            return db.exec(select(OutboxRow.id).where(OutboxRow.dedup_key == f"test.unknown:{key}")).one()

    def attempts(self, row: str) -> int:
        with self.database.reading() as db:
            return db.get_one(OutboxRow, row).attempts


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    if redis_path() is None:
        pytest.skip("redis-server is not installed here")
    folder = tmp_path_factory.mktemp("works")
    settings = Settings(data_folder=folder)
    database = Database(settings.effective_database_url)
    migrate(database)
    with redis_server() as redis_url, (folder / "worker.log").open("wb") as log:
        environment = os.environ | {"MARKETPLACE_DATA_FOLDER": str(folder), "MARKETPLACE_REDIS_URL": redis_url}
        command = [sys.executable, "-m", "celery", "-A", "workers.app", "worker", "--concurrency", "1"]
        worker = subprocess.Popen([*command, "--loglevel", "WARNING"], env=environment, stdout=log, stderr=log)
        try:
            yield Works(redis_url, database, folder, folder / "worker.log")
        finally:
            worker.terminate()
            worker.wait(120)
            database.dispose()


def send(works: Works, row: str, queue: str = app.OUTBOX) -> None:
    celery_app(works.redis_url).send_task(RUN_ROW, args=[row], queue=queue, ignore_result=True)


def test_the_application_takes_and_sends_json_only() -> None:
    celery = celery_app("memory://")
    assert list(celery.conf.accept_content) == ["json"]
    assert celery.conf.task_serializer == "json"
    assert [name for name in celery.tasks if not name.startswith("celery.")] == [RUN_ROW]


def test_a_message_runs_its_row_and_a_doubled_one_changes_nothing(works: Works) -> None:
    row = works.ask("one")
    for _ in range(3):
        send(works, row)
    wait_until(lambda: works.attempts(row) == 1, works)
    other = works.ask("two")
    send(works, other, app.PUSH)
    wait_until(lambda: works.attempts(other) == 1, works)
    assert works.attempts(row) == 1


def test_a_pickled_message_is_refused_and_the_worker_goes_on(works: Works, tmp_path: Path) -> None:
    marker = tmp_path / "was_run"
    row = works.ask("pickled")
    celery_app(works.redis_url).send_task(
        RUN_ROW, args=[row], kwargs={"trap": Trap(marker)}, serializer="pickle", ignore_result=True
    )
    other = works.ask("after")
    send(works, other)
    wait_until(lambda: works.attempts(other) == 1, works)
    assert works.attempts(row) == 0
    assert not marker.exists()
    assert "pickle" in works.log.read_text()


def test_a_process_that_found_the_log_unsound_takes_no_work(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "_runtime", lambda: house.runtime)
    with house.runtime.database.transaction() as db:
        outbox.enqueue(db, "test.unknown", {}, key="one", now=house.clock.now())
    with house.runtime.database.reading() as db:
        [row] = outbox.due_rows(db, house.clock.now(), limit=10)
    house.runtime.soundness.lose("the database is behind its log")
    assert not app.run(row)
    with house.runtime.database.reading() as db:
        assert outbox.due_rows(db, house.clock.now(), limit=10) == [row]
        assert db.get_one(OutboxRow, row).attempts == 0


def test_the_attempt_of_a_message_that_comes_again_is_counted_before_it_begins(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_runtime", lambda: house.runtime)
    counted: list[int] = []

    def look(*_anything: object) -> None:
        with house.runtime.database.reading() as db:
            counted.append(db.get_one(OutboxRow, row).attempts)

    monkeypatch.setitem(relay.REGISTRY, "test.looks", Within(look))
    with house.runtime.database.transaction() as db:
        outbox.enqueue(db, "test.looks", {}, key="one", now=house.clock.now())
    with house.runtime.database.reading() as db:
        [row] = outbox.due_rows(db, house.clock.now(), limit=10)
    task = celery_app("memory://").tasks[RUN_ROW]
    task.push_request(args=[row], delivery_info={"redelivered": True})
    _task_stack.push(task)
    try:
        assert app.run(row)
    finally:
        _task_stack.pop()
        task.pop_request()
    with house.runtime.database.reading() as db:
        found = db.get_one(OutboxRow, row)
    assert (counted, found.attempts, found.done_at) == ([1], 1, house.clock.now())


def wait_until(ready: object, works: Works) -> None:
    limit = time.monotonic() + 180  # the worker begins meanwhile
    while not ready():  # type: ignore[operator]
        assert time.monotonic() < limit, works.log.read_text()[-3000:]
        time.sleep(0.05)
