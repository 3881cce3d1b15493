"""Clients that note exactly what they hold of a stream, and leave when they are told to."""

from __future__ import annotations

import fcntl
import http.client
import random
import socket
import struct
import termios
import threading
import time
from dataclasses import dataclass

from tests.harness import crowd

AGREEMENT = crowd.agreement_id(1)
SIZE = 6 << 20
LEFT = "client left"


@dataclass
class Held:
    """What one client holds.  start: its first byte's position; came: bytes it took, whatever it did with them."""

    way: str
    start: int
    transfer: str = ""
    came: int = 0
    wrong: bool = False
    cut: bool = True


class Client(threading.Thread):
    """Reads one use at its own pace; leaves at a byte of its choice, or reads until the connection ends."""

    def __init__(self, address: tuple[str, int], content: bytes, held: Held, dice: random.Random) -> None:
        super().__init__(daemon=True)
        self._address, self._content, self.held = address, content, held
        self._pace = dice.choice([1, 2, 4, 8]) << 20
        self._leaves_at = dice.randrange(SIZE - held.start) if held.way == LEFT else None
        self._number = dice.randrange(1 << 60)
        self.began = threading.Event()

    def run(self) -> None:
        connection = http.client.HTTPConnection(*self._address, timeout=60)
        try:
            connection.sock = socket.socket()
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            connection.sock.settimeout(60)
            connection.sock.connect(self._address)
            path = f"/v1/agreements/{AGREEMENT}/data/{crowd.PATH}?purpose={crowd.PURPOSE}"
            headers = {"X-Caller": "pharma", "Idempotency-Key": f"{self._number:016x}"}
            connection.request("GET", path, headers=headers | {"Range": f"bytes={self.held.start}-"})
            self._read(connection)
        except (OSError, http.client.HTTPException):
            pass  # cut: exactly what is tried
        finally:
            self.began.set()
            connection.close()

    def _read(self, connection: http.client.HTTPConnection) -> None:
        answer = connection.getresponse()
        held, line = self.held, connection.sock
        if answer.status != 206:
            held.way = f"answered {answer.status}"
            return
        held.transfer = answer.headers["X-Transfer-Id"]
        while piece := answer.read1(1 << 16):
            at = held.start + held.came
            held.wrong |= piece != self._content[at : at + len(piece)]
            held.came += len(piece)
            self.began.set()
            if self._leaves_at is not None and held.came > self._leaves_at:
                held.came += _unread(line)
                return
            time.sleep(len(piece) / self._pace)
        held.cut = held.start + held.came < SIZE


def _unread(line: socket.socket) -> int:
    """Bytes that this machine has and the client did not read."""
    return int(struct.unpack("i", fcntl.ioctl(line.fileno(), termios.FIONREAD, b"\0" * 4))[0])
