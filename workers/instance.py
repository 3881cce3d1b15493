"""A whole instance in one process: database brought up to date, log processes, relay and integrator threads.

`make run`, the demo and the journeys use this form.  In production the same parts are processes of their own
(`docker-compose.yml`), and only the scheduler runs the loops.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO

from fastapi import FastAPI

from marketplace.audit.client import LogRefused
from marketplace.audit.guard import AnotherSigner, HeadRolledBack, check_heads, check_not_behind
from marketplace.audit.processes import LogProcesses
from marketplace.audit.service import LogBehind, LogForked
from marketplace.audit.tiles import TreeDamaged
from marketplace.kernel.clock import Clock
from marketplace.kernel.errors import Conflict
from marketplace.main import build_runtime, create_app
from marketplace.participants import servicekeys
from marketplace.plumbing.migrations import migrate
from marketplace.plumbing.runtime import Runtime
from marketplace.settings import Settings
from workers.relay import Dispatcher, Driven, Loop, embedded_relays, release_leases
from workers.schedule import periodic_loops
from workers.tasks import LONG, TO_OTHERS
from workers.tasks.audit import integrate_once

DISPATCH_SECONDS = 0.1
WATCH_SECONDS = 5
# What a log cannot come back from by itself.
UNSOUND = (LogBehind, LogForked, HeadRolledBack, AnotherSigner, TreeDamaged)
FLUSH_SECONDS = 10


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

    Refuses to start when the database is behind the last cosigned checkpoint or does not fit it (threats T6 to T8).
    Raises FolderInUse, LogSilent, and what `guard.check_not_behind` raises.
    """
    with ExitStack() as stack:
        stack.enter_context(only_one(settings.data_folder))
        runtime = build_runtime(settings, clock)
        stack.callback(runtime.close)
        migrate(runtime.database)
        stack.callback(flush_refusals, runtime)
        log = stack.enter_context(LogProcesses(runtime.settings))
        check_not_behind(runtime.database, log.client)
        register_service_key(runtime)
        _drive(stack, runtime, log)
        yield Instance(runtime, create_app(runtime), log)


def _drive(stack: ExitStack, runtime: Runtime, log: LogProcesses) -> None:
    """Start the loops that do the work; they end with the stack, and what the end cut short is free to be taken."""
    loops = (*relays(runtime), integrator(runtime, log), *periodic_loops(runtime))
    if not runtime.settings.redis_url.get_secret_value():
        stack.callback(release_leases, runtime, lost=False)
    for loop in loops:
        loop.start()
        stack.callback(loop.stop)


def relays(runtime: Runtime) -> Sequence[Driven]:
    """What drives the outbox: threads that run the rows, or, where a broker is set, one that wakes Celery workers."""
    redis_url = runtime.settings.redis_url.get_secret_value()
    if not redis_url:
        return embedded_relays(runtime)
    from workers.app import DATA, OUTBOX, PUSH, RUN_ROW, celery_app

    celery = celery_app(redis_url)

    def wake(queue: str, row: str) -> None:
        celery.send_task(RUN_ROW, args=[row], queue=queue, ignore_result=True)

    kinds = {
        OUTBOX: Dispatcher(runtime, partial(wake, OUTBOX), but=TO_OTHERS),
        PUSH: Dispatcher(runtime, partial(wake, PUSH), only=TO_OTHERS - LONG),
        DATA: Dispatcher(runtime, partial(wake, DATA), only=LONG),
    }
    return [Loop(f"dispatch-{queue}", one.step, DISPATCH_SECONDS) for queue, one in kinds.items()]


def register_service_key(runtime: Runtime) -> None:
    """Record the instance's own public key once.  Raises ServiceKeyRevoked."""
    with runtime.database.transaction() as db:
        servicekeys.register(db, runtime.service_key, runtime.clock.now())


def integrator(runtime: Runtime, log: LogProcesses) -> Loop:
    """The loop that gives entries their leaf numbers and gets checkpoints signed and cosigned.

    Once the log is found behind or forked, this instance releases nothing more.
    """
    pause = runtime.settings.checkpoint_interval_ms / 1000
    return Loop("log-integrator", partial(watched, runtime, log, partial(integrate_once, runtime, log)), pause)


def log_watch(runtime: Runtime, log: LogProcesses) -> Loop:
    """The loop of a process that serves and does not integrate: asks again and again whether the log is sound."""
    step = partial(check_heads, runtime.database, log.client)
    return Loop("log-watch", partial(watched, runtime, log, step), WATCH_SECONDS)


def watched(runtime: Runtime, log: LogProcesses, step: Callable[[], object]) -> bool:
    """Run a step of the log; on what cannot heal by itself every use is refused from now on.  Raises what it raises."""
    try:
        try:
            step()
        except LogRefused:
            # A refusal may be two integrators at once, or a fork: the heads tell.
            check_heads(runtime.database, log.client)
            raise
    except UNSOUND as error:
        runtime.soundness.lose(error.detail)
        raise
    return False


@contextmanager
def open_api(settings: Settings) -> Iterator[FastAPI]:
    """The production API: the application alone, after the same guard against a database that is behind its log."""
    with ExitStack() as stack:
        stack.enter_context(one_of_many(settings.data_folder))
        runtime = build_runtime(settings)
        stack.callback(runtime.close)
        log = stack.enter_context(LogProcesses(runtime.settings))
        check_not_behind(runtime.database, log.client)
        stack.callback(log_watch(runtime, log).start().stop)
        flushing = Loop("refusals", partial(flush_refusals, runtime), FLUSH_SECONDS).start()
        stack.callback(flush_refusals, runtime)
        stack.callback(flushing.stop)
        yield create_app(runtime)


@contextmanager
def open_worker(settings: Settings, clock: Clock | None = None) -> Iterator[Runtime]:
    """A Celery worker process, behind the same guard; it takes no work once the log is known to be unsound.

    Signer and witness that have no address are children of a server that guards for all its processes.
    """
    with ExitStack() as stack:
        runtime = build_runtime(settings, clock)
        stack.callback(runtime.close)
        if settings.log_signer_url and settings.witness_url:
            stack.enter_context(one_of_many(settings.data_folder))
            log = stack.enter_context(LogProcesses(runtime.settings))
            check_not_behind(runtime.database, log.client)
            stack.callback(log_watch(runtime, log).start().stop)
        yield runtime


def flush_refusals(runtime: Runtime) -> None:
    """Write what this process refused and counted, so that the scheduler makes one entry of it."""
    runtime.refusals.flush(runtime.database, runtime.clock.now())


@contextmanager
def open_scheduler(settings: Settings) -> Iterator[None]:
    """The production scheduler: integrates the log, keeps the schedule and wakes Celery workers for due rows."""
    with ExitStack() as stack:
        stack.enter_context(one_of_many(settings.data_folder))
        runtime = build_runtime(settings)
        stack.callback(runtime.close)
        log = stack.enter_context(LogProcesses(runtime.settings))
        check_not_behind(runtime.database, log.client)
        register_service_key(runtime)
        _drive(stack, runtime, log)
        yield


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Keep every other process of this marketplace from the folder for the length of the block.  Raises FolderInUse."""
    with _locked(folder, fcntl.LOCK_EX) as file:
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextmanager
def one_of_many(folder: Path) -> Iterator[None]:
    """Keep from the folder whoever must be alone there, e.g. a rotation of keys.  Raises FolderInUse."""
    with _locked(folder, fcntl.LOCK_SH):
        yield


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[TextIO]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise FolderInUse(
                f"the data folder {folder} is in use",
                got=f"process {file.read().strip() or 'unknown'}",
                action="stop that process, or choose another data folder",
            ) from error
        yield file
