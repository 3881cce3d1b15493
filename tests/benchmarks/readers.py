"""A process of clients that read many streams at once, each at its own pace, and note when which bytes came."""

from __future__ import annotations

import multiprocessing
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from tests.harness import crowd

# A slow client with a large receive buffer would read megabytes out of its own memory after the stop.
SLOW_BUFFER = 16 << 10
SLOW_PIECE = 8 << 10
SLOW_PAUSE = 0.01
FAST_PIECE = 64 << 10
LONGEST = 120.0


@dataclass
class Reading:
    """One stream.  served: answered with data; came: moments and the bytes so far; ended: the moment of its end.

    Moments are those of time.monotonic, which all processes of a machine share.
    """

    agreement: str
    slow: bool
    served: bool = False
    came: list[tuple[float, int]] = field(default_factory=list)
    ended: float = 0.0

    def after(self, moment: float) -> int:
        """Bytes that came after a moment."""
        total = self.came[-1][1] if self.came else 0
        return total - max((count for at, count in self.came if at <= moment), default=0)

    def last(self) -> float:
        return self.came[-1][0] if self.came else 0.0


def start(address: tuple[str, int], plan: Sequence[tuple[str, bool]]) -> tuple[Any, Connection]:
    """Start reading in a process of its own.

    It sends how many streams were answered with data once all were answered, and the list of Readings when all ended.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_read_all, args=(address, list(plan), there), daemon=True)
    process.start()
    return process, here


def _read_all(address: tuple[str, int], plan: list[tuple[str, bool]], result: Connection) -> None:
    selector = selectors.DefaultSelector()
    readings = [Reading(agreement, slow) for agreement, slow in plan]
    resting: list[tuple[float, socket.socket, Reading]] = []
    for reading in readings:
        selector.register(_ask(address, reading), selectors.EVENT_READ, reading)
    end, told = time.monotonic() + LONGEST, False
    while (selector.get_map() or resting) and time.monotonic() < end:
        pause = max(0.0, min((at for at, *_ in resting), default=end) - time.monotonic())
        for key, _ in selector.select(min(pause, 0.1)):
            line, reading = key.fileobj, key.data
            assert isinstance(line, socket.socket)
            going_on = _take(line, reading)
            if not told and all(one.came or one.ended for one in readings):
                told = True
                result.send(sum(one.served for one in readings))
            if not going_on:
                selector.unregister(line)
                line.close()
            elif reading.slow:
                selector.unregister(line)
                resting.append((time.monotonic() + SLOW_PAUSE, line, reading))
        now = time.monotonic()
        for one in [one for one in resting if one[0] <= now]:
            resting.remove(one)
            selector.register(one[1], selectors.EVENT_READ, one[2])
    result.send(readings)
    result.close()


def _ask(address: tuple[str, int], reading: Reading) -> socket.socket:
    line = socket.socket()
    if reading.slow:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BUFFER)
    line.connect(address)
    path = f"/v1/agreements/{reading.agreement}/data/{crowd.PATH}?purpose={crowd.PURPOSE}"
    line.sendall(f"GET {path} HTTP/1.1\r\nHost: market\r\nX-Caller: pharma\r\n\r\n".encode())
    return line


def _take(line: socket.socket, reading: Reading) -> bool:
    """Take what is there; False at the end."""
    try:
        piece = line.recv(SLOW_PIECE if reading.slow else FAST_PIECE)
    except OSError:
        piece = b""
    now = time.monotonic()
    if not piece:
        reading.ended = now
        return False
    reading.served |= not reading.came and piece.startswith(b"HTTP/1.1 200")
    so_far = reading.came[-1][1] if reading.came else 0
    reading.came.append((now, so_far + len(piece)))
    return True
