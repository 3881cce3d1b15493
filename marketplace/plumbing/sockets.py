"""How the service is served: small send buffers, and a handle by which a running answer is cut at once.

Whatever lies in a buffer when a use is stopped still reaches the client.  The kernel would hold megabytes for a slow
reader, so every connection gets a capped send buffer, and a stopped one is reset: what was not sent is thrown away.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from contextlib import suppress
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

from marketplace.settings import Settings

PIECE: Final = 64 << 10
"""Bytes handed to the connection at a time: what the server's own buffer holds at most."""

_LINE: Final = "marketplace.line"
_CLOSED: Final = 7  # TCP_CLOSE of linux/tcp_states.h
_RESET: Final = struct.pack("ii", 1, 0)  # struct linger: on, 0 seconds


class Line:
    """The connection under a running answer.  Its methods belong to the thread of the server's loop."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._socket = transport.get_extra_info("socket")

    def cut(self) -> None:
        """Reset the connection; bytes that the client's machine has not taken yet are thrown away."""
        with suppress(OSError):  # already closed
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def waiting(self) -> int | None:
        """Bytes written that the client's machine has not taken, in our buffer and in the kernel's; None: it is gone.

        Where the kernel does not tell (it is not Linux), only our buffer is counted.
        """
        ours: int = self._transport.get_write_buffer_size()
        try:
            answer = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, b"\0" * 4)
            # Asked second: when a client resets the connection the kernel forgets what was waiting.
            state = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        except (OSError, ValueError, AttributeError):
            return None if self._transport.is_closing() else ours
        if state == _CLOSED or self._transport.is_closing():
            return None
        return ours + int(struct.unpack("i", answer)[0])


def line_of(scope: Scope) -> Line | None:
    """The connection a request came over; None under a server that is not ours, for example a test client."""
    found: Line | None = scope.get("state", {}).get(_LINE)
    return found


def protocol(settings: Settings) -> type[H11Protocol]:
    """HTTP/1.1 over connections whose buffers are capped at `settings.send_buffer_kib`."""
    size = settings.send_buffer_kib * 1024

    class CappedProtocol(H11Protocol):
        """The server's own protocol on a capped connection; each request's state holds its Line."""

        def connection_made(self, transport: Any) -> None:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
            # 0: the next piece is taken only when the one before has gone to the kernel.
            transport.set_write_buffer_limits(high=0)
            self.app_state = {**self.app_state, _LINE: Line(transport)}
            super().connection_made(transport)

    return CappedProtocol


def server(app: ASGIApp, settings: Settings, **given: Any) -> uvicorn.Server:
    """The server of an application, not yet running.  given: further arguments of `uvicorn.Config`."""
    # No forwarding header is believed: who calls is known by key, and the address only counts for limits.
    config = uvicorn.Config(app, http=protocol(settings), loop="asyncio", ws="none", proxy_headers=False, **given)
    return uvicorn.Server(config)


def serve(app: ASGIApp, settings: Settings, **given: Any) -> None:
    """Serve an application until the process is told to stop; streams that still run then have ten seconds."""
    with suppress(KeyboardInterrupt):  # the server ends in order first, then passes the signal on
        server(app, settings, timeout_graceful_shutdown=10, **given).run()
