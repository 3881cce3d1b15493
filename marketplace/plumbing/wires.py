"""Connections to addresses that were checked before, all of whose operations end at one deadline."""

from __future__ import annotations

import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import httpcore2

from marketplace.plumbing.addresses import Address

_AT_ONCE = 16 << 10
_TRUST_SECONDS = 600
_RESET = struct.pack("ii", 1, 0)  # struct linger: on, 0 seconds


def system_resolver(host: str, port: int) -> list[str]:
    """All addresses of a name, by the system's resolver.  Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(where[0]) for *_rest, where in found]


def system_trust() -> ssl.SSLContext:
    """What the machine trusts, read anew every ten minutes: to read it costs more than all else of a message."""
    return _trust_of(int(time.monotonic() // _TRUST_SECONDS))


@lru_cache(maxsize=1)
def _trust_of(_period: int) -> ssl.SSLContext:
    return ssl.create_default_context()


def dial(address: Address, port: int, seconds: float) -> socket.socket:
    """A connection to an address that was checked.  Raises OSError."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Else the second body over a connection waits up to 40 ms for the receipt of its head.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(seconds)
        connection.connect((str(address), port))
    except BaseException:
        connection.close()
        raise
    return connection


@dataclass(frozen=True)
class Network:
    """The network as this module uses it; tests put their own resolver, dialling and certificates in."""

    resolve: Callable[[str, int], Iterable[str]] = system_resolver
    dial: Callable[[Address, int, float], socket.socket] = dial
    trust: Callable[[], ssl.SSLContext] = system_trust


def dialled(addresses: Iterable[Address], port: int, network: Network, end: float) -> socket.socket:
    """A connection to the first of the checked addresses that takes one.  Raises OSError."""
    failure: OSError = OSError("no address")
    for address in addresses:
        try:
            return network.dial(address, port, left(end))
        except OSError as error:
            failure = error
    raise failure


class Backend(httpcore2.NetworkBackend):
    """Connects to the checked addresses, whatever the name says by now."""

    def __init__(self, addresses: list[Address], network: Network, end: float) -> None:
        self._addresses, self._network, self._end = addresses, network, end

    def connect_tcp(self, host: str, port: int, *_rest: Any, **_options: Any) -> httpcore2.NetworkStream:  # noqa: ARG002
        return self._stream(dialled(self._addresses, port, self._network, self._end))

    def _stream(self, connection: socket.socket) -> httpcore2.NetworkStream:
        return Stream(connection, self._end)


class Stream(httpcore2.NetworkStream):
    """A connection of which every operation ends at the same moment, however slowly the other side drips.

    end: that moment; whoever uses the connection for a further request sets it anew.
    """

    def __init__(self, connection: socket.socket, end: float) -> None:
        self._connection, self.end = connection, end

    def is_silent(self) -> bool:
        """Whether nothing has come that nobody has read, not even the end of the connection."""
        if isinstance(self._connection, ssl.SSLSocket) and self._connection.pending():
            return False
        ready = select.poll()
        ready.register(self._connection, select.POLLIN)
        return not ready.poll(0)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        self._connection.settimeout(left(self.end))
        return self._connection.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        view = memoryview(buffer)
        while view:
            self._connection.settimeout(left(self.end))
            view = view[self._connection.send(view[:_AT_ONCE]) :]

    def close(self) -> None:
        self._connection.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> Stream:
        self._connection.settimeout(left(self.end))
        return Stream(ssl_context.wrap_socket(self._connection, server_hostname=server_hostname), self.end)


@dataclass(frozen=True)
class Watched:
    """How a long body is sent.  idle: seconds in which the other side must take something, or answer in full.

    look: seconds between two looks whether it may go on; buffer: bytes that the kernel may hold of it.
    """

    idle: float
    look: float
    buffer: int
    goes_on: Callable[[], bool]


class WatchedBackend(Backend):
    """Connects likewise; the connection lasts as long as the body, and is reset when it may not go on."""

    def __init__(self, addresses: list[Address], network: Network, end: float, watched: Watched) -> None:
        super().__init__(addresses, network, end)
        self._watched = watched

    def _stream(self, connection: socket.socket) -> httpcore2.NetworkStream:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._watched.buffer)
        return _WatchedStream(connection, self._watched)


class _WatchedStream(httpcore2.NetworkStream):
    """A connection whose writer looks up while it waits; what a stop finds in the kernel's buffer is thrown away."""

    def __init__(self, connection: socket.socket, watched: Watched) -> None:
        self._connection, self._watched = connection, watched
        self._answered_by: float | None = None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        self._answered_by = self._answered_by or time.monotonic() + self._watched.idle
        self._connection.settimeout(left(self._answered_by))
        return self._connection.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        view = memoryview(buffer)
        self._connection.settimeout(self._watched.idle)
        while view:
            self._until_writable(time.monotonic() + self._watched.idle)
            try:
                view = view[self._connection.send(view[:_AT_ONCE]) :]
            except (BrokenPipeError, ConnectionResetError) as error:
                raise httpcore2.WriteError from error  # the answer may have come before the end of the body

    def close(self) -> None:
        if not self._watched.goes_on():
            with suppress(OSError):  # already closed
                self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._connection.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore2.NetworkStream:
        self._connection.settimeout(self._watched.idle)
        wrapped = ssl_context.wrap_socket(self._connection, server_hostname=server_hostname)
        return _WatchedStream(wrapped, self._watched)

    def _until_writable(self, end: float) -> None:
        ready = select.poll()
        ready.register(self._connection, select.POLLOUT)
        while self._watched.goes_on():
            if ready.poll(self._watched.look * 1000):
                return
            left(end)
        self.close()
        raise ConnectionAbortedError("the body may not go on")


def left(end: float) -> float:
    """Seconds that remain.  Raises TimeoutError when none do: 0 would mean "do not wait" to a socket."""
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError("the deadline is over")
    return left
