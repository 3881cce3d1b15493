"""The Celery application: one task that runs one outbox row.  `celery -A workers.app worker`.

A message is a wake-up: losing it, doubling it or delaying it changes nothing, because the row is leased in SQL.
"""

from __future__ import annotations

from functools import cache

from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown

from marketplace.main import build_runtime
from marketplace.plumbing.runtime import Runtime
from marketplace.settings import Settings
from workers.relay import run_row

RUN_ROW = "outbox.run"


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
        task_default_queue="outbox",
    )
    app.task(name=RUN_ROW)(run)
    return app


def run(row_id: str) -> bool:
    """Run one outbox row in this worker process."""
    return run_row(_runtime(), row_id)


def open_runtime() -> Runtime:
    """The instance that a worker process works for, from its settings."""
    return build_runtime(Settings())


@cache
def _runtime() -> Runtime:
    return open_runtime()


@worker_process_init.connect
def _open(**_: object) -> None:
    _runtime()


@worker_process_shutdown.connect
def _close(**_: object) -> None:
    _runtime().close()


app = celery_app(Settings().redis_url.get_secret_value() or "memory://")
