"""A whole instance in one process: database brought up to date, log processes, relay and integrator threads.

`make run`, the demo and the journeys use this form.  In production the same parts are processes of their own
(`docker-compose.yml`), and only the scheduler runs the loops.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI
from sqlmodel import select

from marketplace.audit.entry import Tag, record
from marketplace.audit.models import Entry
from marketplace.audit.processes import LogProcesses
from marketplace.audit.service import check_not_behind
from marketplace.kernel.actor import SERVICE, SERVICE_ACTOR
from marketplace.kernel.clock import Clock
from marketplace.kernel.errors import Conflict
from marketplace.main import build_runtime, create_app
from marketplace.plumbing.migrations import migrate
from marketplace.plumbing.runtime import Runtime
from marketplace.settings import Settings
from workers.relay import Dispatcher, Loop, embedded_relay
from workers.schedule import periodic_loops
from workers.tasks.audit import integrate_once

DISPATCH_SECONDS = 0.1


class FolderInUse(Conflict):
    """Another process of this marketplace works on the same data folder."""


@dataclass(frozen=True)
class Instance:
    """A running instance: its runtime, its web application, its log."""

    runtime: Runtime
    app: FastAPI
    log: LogProcesses


@contextmanager
def open_instance(settings: Settings, clock: Clock | None = None) -> Iterator[Instance]:
    """Open the embedded form; everything ends with the block, in reverse order.

    Refuses to start when the database is behind the last cosigned checkpoint (threat T8).
    Raises FolderInUse.
    """
    with ExitStack() as stack:
        stack.enter_context(_only_one(settings.data_folder))
        runtime = build_runtime(settings, clock)
        stack.callback(runtime.close)
        migrate(runtime.database)
        log = stack.enter_context(LogProcesses(settings))
        check_not_behind(runtime.database, log.client)
        register_service_key(runtime)
        for loop in (relay(runtime), integrator(runtime, log), *periodic_loops(runtime)):
            loop.start()
            stack.callback(loop.stop)
        yield Instance(runtime, create_app(runtime), log)


def relay(runtime: Runtime) -> Loop:
    """What drives the outbox: a thread that runs the rows, or, where a broker is set, one that wakes Celery workers."""
    redis_url = runtime.settings.redis_url.get_secret_value()
    if not redis_url:
        return embedded_relay(runtime)
    from workers.app import RUN_ROW, celery_app

    celery = celery_app(redis_url)
    dispatcher = Dispatcher(runtime, lambda row: celery.send_task(RUN_ROW, args=[row], ignore_result=True))
    return Loop("outbox-dispatch", dispatcher.step, DISPATCH_SECONDS)


def register_service_key(runtime: Runtime) -> None:
    """Record the instance's own public key once, so that whoever checks a manifest can tell whose key signed it."""
    key = runtime.service_key
    with runtime.database.transaction() as db:
        known = db.exec(select(Entry.body).where(Entry.tag == Tag.KEY_REGISTERED.value, Entry.actor == SERVICE)).all()
        if not any(key.kid.encode() in body for body in known):
            facts = {"participant": SERVICE, "kid": key.kid, "alg": key.algorithm, "jwk": key.public_jwk}
            record(db, SERVICE_ACTOR, Tag.KEY_REGISTERED, runtime.clock.now(), facts=facts)


def integrator(runtime: Runtime, log: LogProcesses) -> Loop:
    """The loop that gives entries their leaf numbers and gets checkpoints signed and cosigned."""
    pause = runtime.settings.checkpoint_interval_ms / 1000
    return Loop("log-integrator", lambda: integrate_once(runtime, log) and False, pause)


@contextmanager
def open_api(settings: Settings) -> Iterator[FastAPI]:
    """The production API: the application alone, after the same guard against a database that is behind its log."""
    with ExitStack() as stack:
        runtime = build_runtime(settings)
        stack.callback(runtime.close)
        with LogProcesses(settings) as log:
            check_not_behind(runtime.database, log.client)
        yield create_app(runtime)


@contextmanager
def open_scheduler(settings: Settings) -> Iterator[None]:
    """The production scheduler: integrates the log, keeps the schedule and wakes Celery workers for due rows."""
    with ExitStack() as stack:
        runtime = build_runtime(settings)
        stack.callback(runtime.close)
        log = stack.enter_context(LogProcesses(settings))
        check_not_behind(runtime.database, log.client)
        register_service_key(runtime)
        for loop in (relay(runtime), integrator(runtime, log), *periodic_loops(runtime)):
            loop.start()
            stack.callback(loop.stop)
        yield


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise FolderInUse(
                f"the data folder {folder} is in use",
                got=f"process {file.read().strip() or 'unknown'}",
                action="stop that process, or choose another data folder",
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
