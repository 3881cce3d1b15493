"""Ids carry their kind and sort by time: `ast_` + UUIDv7 (RFC 9562) in lower-case hex."""

from __future__ import annotations

import os
import threading
import time


class _Ticker:
    """Milliseconds and a counter within the millisecond, strictly increasing in one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        """60 bits: 48 bits of Unix milliseconds, then 12 bits counting within the millisecond."""
        with self._lock:
            self._last = max(self._last + 1, (time.time_ns() // 1_000_000) << 12)
            return self._last


_ticker = _Ticker()


def new_id(kind: str) -> str:
    """A fresh id of a kind, e.g. `new_id("ast")`; ids of one process are strictly increasing."""
    tick = _ticker.next()
    head = (tick >> 12) << 16 | 0x7000 | (tick & 0xFFF)
    tail = 0x8000_0000_0000_0000 | int.from_bytes(os.urandom(8)) >> 2
    return f"{kind}_{head:016x}{tail:016x}"
