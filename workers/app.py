"""The Celery application: one task that runs one outbox row.  `celery -A workers.app worker`.

A message is a wake-up: losing it, doubling it or delaying it changes nothing, because the row is leased in SQL.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache

from celery import Celery, current_task
from celery.signals import worker_process_init, worker_process_shutdown
from kombu.entity import Queue
from structlog import get_logger

from marketplace.plumbing.runtime import Runtime
from marketplace.settings import Settings
from workers.attempts import run_row
from workers.instance import open_worker

RUN_ROW = "outbox.run"
OUTBOX, PUSH, DATA = "outbox", "push", "data"
"""Queues: what waits for servers of other people holds up nothing else; data that flows to them not even messages."""


@cache
def celery_app(redis_url: str) -> Celery:
    """The application on a broker address.  JSON only: a pickled message is refused (threat T32)."""
    app = Celery("marketplace", broker=redis_url)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"visibility_timeout": 600},
        worker_hijack_root_logger=False,
        # A worker process asks signer and witness first, which may be starting too.
        worker_proc_alive_timeout=60,
        task_default_queue=OUTBOX,
        # A worker without `-Q` takes from all.
        task_queues=(Queue(OUTBOX), Queue(PUSH), Queue(DATA)),
    )
    app.task(name=RUN_ROW)(run)
    return app


def run(row_id: str) -> bool:
    """Run one outbox row in this worker process; false also when this process may not work for its instance.

    The row stays due then, and its message comes again.
    """
    runtime = _runtime()
    if runtime.soundness.trouble:
        get_logger().error("no work is taken: the log is not sound", trouble=runtime.soundness.trouble)
        return False
    return run_row(runtime, row_id, again=_came_before())


def _came_before() -> bool:
    """Whether the broker has given this message to a worker before, which was lost with it."""
    how = current_task.request.delivery_info if current_task else None
    return bool(how and how.get("redelivered"))


_opened = ExitStack()


@cache
def _runtime() -> Runtime:
    return _opened.enter_context(open_worker(Settings()))


@worker_process_init.connect
def _open(**_: object) -> None:
    _runtime()


@worker_process_shutdown.connect
def _close(**_: object) -> None:
    _opened.close()


app = celery_app(Settings().redis_url.get_secret_value() or "memory://")
