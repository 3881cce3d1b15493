"""Leases last as long as the work for which a row was taken."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from structlog import get_logger

from marketplace.plumbing import outbox


class Keeper:
    """Renews the leases of the tasks that run, so that a long one is not started a second time beside itself.

    One thread for all of a process, which ends when nothing has run for a third of a lease.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[threading.Lock, Callable[[], None]] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def keeping(self, renew: Callable[[], None]) -> Iterator[None]:
        """Call renew every third of a lease until the block ends, and never after it."""
        mine = threading.Lock()
        with self._lock:
            self._kept[mine] = renew
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with mine, self._lock:
                del self._kept[mine]

    def _run(self) -> None:
        while True:
            time.sleep(outbox.LEASE.total_seconds() / 3)
            with self._lock:
                if not self._kept:
                    self._thread = None
                    return
                due = list(self._kept)
            for one in due:
                with one:
                    self._renew(self._kept.get(one))

    @staticmethod
    def _renew(renew: Callable[[], None] | None) -> None:
        try:
            if renew is not None:
                renew()
        except Exception as error:  # noqa: BLE001 - one bad round must not lose the leases of the others
            get_logger().error("a lease was not renewed", exc_info=error)
