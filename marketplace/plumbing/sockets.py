"""How the service is served: small send buffers, and a handle by which a running answer is cut at once.

Whatever lies in a buffer when a use is stopped still reaches the client.  The kernel would hold megabytes for a slow
reader, so every connection gets a capped send buffer, and a stopped one is reset: what was not sent is thrown away.
A connection costs memory and a descriptor, so their number is capped, and one that brings no request is closed.
A request that waits for something to happen is told when the server stops, which would wait for it otherwise.
"""

from __future__ import annotations

import asyncio
import fcntl
import gc
import socket
import struct
import termios
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import Any, ClassVar, Final

import h11
import uvicorn
from pydantic import IPvAnyNetwork
from starlette.types import ASGIApp, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

from marketplace.plumbing.limits import place
from marketplace.settings import Settings

PIECE: Final = 64 << 10
"""Bytes handed to the connection at a time: what the server's own buffer holds at most."""

SILENT_SECONDS: Final = 5
"""How long a connection may wait for a further request: seconds longer than such as we keep one (`connections`)."""

_LINE: Final = "marketplace.line"
_CLOSED: Final = 7  # TCP_CLOSE of linux/tcp_states.h
_HEAD, _REST = "head", "rest"
_REST_SECONDS: Final = 5  # a client that still sends reads the early answer within this
_TOLD: Final = 64  # connections above the limit that are still told 503
_QUEUE: Final = 2048  # connections that nobody has taken yet
_NEW_OBJECTS: Final = 10_000  # made and not yet gone, before the collector looks at them
_RESET: Final = struct.pack("ii", 1, 0)  # struct linger: on, 0 seconds


class Line:
    """The connection under a running answer.  Its methods belong to the thread of the server's loop."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._socket = transport.get_extra_info("socket")
        self._waits: Callable[[], object] | None = None
        self._stops = False

    def stop(self) -> None:
        """The server begins to stop: have whoever waits told, now and from now on."""
        self._stops = True
        if self._waits is not None:
            self._waits()

    @contextmanager
    def telling_of_stop(self, waits: Callable[[], object]) -> Iterator[None]:
        """Within the block, have the one request under way here told that the server stops, or at once if it does."""
        self._waits = waits
        if self._stops:
            waits()
        try:
            yield
        finally:
            self._waits = None

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


class CappedProtocol(H11Protocol):
    """HTTP/1.1 over connections whose buffers, number and silences are capped; each request's state holds its Line.

    settings: of this instance; held: connections by place, without those of trusted proxies.
    """

    settings: ClassVar[Settings]
    held: ClassVar[Counter[str]]
    _line: Line
    _place: str | None = None
    _owed: str | None = None
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        size, connection = self.settings.send_buffer_kib * 1024, transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
        # asyncio does so only where the listener names TCP; else a body waits 40 ms for the receipt of its head.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # 0: the next piece is taken only when the one before has gone to the kernel.
        transport.set_write_buffer_limits(high=0)
        self._line = Line(transport)
        self.app_state = {**self.app_state, _LINE: self._line}
        super().connection_made(transport)
        if self._is_one_too_many():
            transport.abort()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._place is not None:
            self.held[self._place] -= 1
            if not self.held[self._place]:
                del self.held[self._place]
        super().connection_lost(exc)
        self._stop_watch()

    def shutdown(self) -> None:
        super().shutdown()
        self._line.stop()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def _is_one_too_many(self) -> bool:
        most, host = self.settings.limit_connections, self.client[0] if self.client else ""
        if not _is_in(host, self.settings.trusted_proxies):
            self._place = place(host)
            self.held[self._place] += 1
            if self.held[self._place] > most // 2:
                return True
        return len(self.connections) > most + _TOLD

    def _watch(self) -> None:
        """Let a timer run while the client owes the head of a request, or the rest of a body that nobody reads."""
        theirs, owed = self.conn.their_state, None
        if theirs is h11.IDLE and (self.cycle is None or self.conn.trailing_data[0]):
            owed = _HEAD
        elif theirs is h11.SEND_BODY and self.conn.our_state is h11.DONE:
            owed = _REST
        if owed != self._owed:
            self._stop_watch()
        if owed is not None and self._timer is None:
            seconds = self.settings.header_seconds if owed == _HEAD else _REST_SECONDS
            self._owed, self._timer = owed, self.loop.call_later(seconds, self.transport.close)

    def _stop_watch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._owed = self._timer = None


def protocol(settings: Settings) -> type[CappedProtocol]:
    """The protocol of one server, by its settings."""
    return type("Protocol", (CappedProtocol,), {"settings": settings, "held": Counter()})


def server(app: ASGIApp, settings: Settings, **given: Any) -> uvicorn.Server:
    """The server of an application, not yet running.  given: further arguments of `uvicorn.Config`."""
    # Who calls is known by key; the address, which a trusted proxy may tell, only counts for limits.
    config = uvicorn.Config(
        app,
        http=protocol(settings),
        loop="asyncio",
        ws="none",
        limit_concurrency=settings.limit_connections,
        timeout_keep_alive=SILENT_SECONDS,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=[str(network) for network in settings.trusted_proxies],
        **given,
    )
    return uvicorn.Server(config)


def _is_in(host: str, networks: Sequence[IPvAnyNetwork]) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in networks)


def freeze() -> None:
    """Let the collector of cycles pass by what is there by now; for a process that from now on only serves.

    An application is a quarter of a million objects that stay to the end: to walk them again and again takes a fifth of
    the time of a decision.  What comes and goes it looks at less often than by default: 64 answers under way hold more
    than that allows, and were walked four times before they were given.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])


def listening(host: str, port: int) -> socket.socket:
    """A socket that takes connections; who comes waits until somebody serves it.  Raises OSError."""
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=_QUEUE)


def serve(app: ASGIApp, settings: Settings, door: socket.socket, **given: Any) -> None:
    """Serve an application until the process is told to stop; streams that still run then have ten seconds.

    Whoever waits for something to happen (`plumbing.waiting`) is answered at once.
    door: as `listening` gives it, closed in the end.
    """
    freeze()
    host, port, *_ = door.getsockname()
    with suppress(KeyboardInterrupt):  # the server ends in order first, then passes the signal on
        server(app, settings, host=host, port=port, timeout_graceful_shutdown=10, **given).run(sockets=[door])
