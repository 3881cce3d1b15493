"""How long a telling took and how much memory its whole process tree held at once."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path


class Footprint:
    """Samples the resident memory of this process and all its children twice a second.

    Shared pages are counted in every process, so the figure is an upper bound.
    """

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._peak_kib = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="footprint", daemon=True)

    def start(self) -> Footprint:
        self._thread.start()
        return self

    def stop(self) -> dict[str, float]:
        """{seconds, max_rss_mib}, rounded to a tenth."""
        self._end.set()
        self._thread.join()
        seconds = time.monotonic() - self._began
        return {"seconds": round(seconds, 1), "max_rss_mib": round(self._peak_kib / 1024, 1)}

    def _watch(self) -> None:
        while True:
            self._peak_kib = max(self._peak_kib, _tree_kib(os.getpid()))
            if self._end.wait(0.5):
                return


def _tree_kib(root: int) -> int:
    parents: dict[int, list[int]] = {}
    resident: dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        except OSError:
            continue  # the process has ended meanwhile
        pid = int(status.parent.name)
        parents.setdefault(int(fields["PPid"]), []).append(pid)
        resident[pid] = int(fields.get("VmRSS", "0 kB").split()[0])
    total, todo = 0, [root]
    while todo:
        pid = todo.pop()
        total += resident.get(pid, 0)
        todo += parents.get(pid, [])
    return total
