"""The only way out: HTTP to an address that a participant named, without lending it our place in the network (T16).

https to public addresses only: the name is resolved once, every address it has must be public, and the connection
goes to exactly what was checked, under the name's own certificate.  No redirect is followed, no proxy is asked, the
answer is small and all of it comes before one deadline.
"""

from __future__ import annotations

import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpcore2

from marketplace.kernel.errors import Invalid, Unavailable
from marketplace.plumbing.addresses import Address, is_public, read_address
from marketplace.settings import Settings

LONGEST_URL = 2000
# One strict form instead of a lenient parser: no user, no fragment, no backslash, no escapes in the host.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]{1,253})(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<target>(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?(?:\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?)"
)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
# Names that no public authority gives out (RFC 6761, RFC 8375, RFC 9476) or that lead into the own network.
_LOCAL_NAMES = frozenset(
    {"alt", "arpa", "corp", "home", "internal", "invalid", "lan", "local", "localdomain", "localhost", "onion"}
)
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "expect", "te", "trailer"})
_LOOPBACK = "127.0.0.1"
_AT_ONCE = 16 << 10


class OutgoingRefused(Invalid):
    """This address may not be called."""


class OutgoingFailed(Unavailable):
    """The called address did not answer as it should."""


@dataclass(frozen=True)
class Answer:
    """What came back: any status, also a redirect, with names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Target:
    """An address whose form is allowed.  host: ASCII, lower case; target: path and query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def loopback(self) -> bool:
        """Whether it is the machine itself, which only a test's settings allow."""
        return self.host == _LOOPBACK


def system_resolver(host: str, port: int) -> list[str]:
    """All addresses of a name, by the system's resolver.  Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(where[0]) for *_rest, where in found]


def dial(address: Address, port: int, seconds: float) -> socket.socket:
    """A connection to an address that was checked.  Raises OSError."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
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
    trust: Callable[[], ssl.SSLContext] = field(default=ssl.create_default_context)


def post(
    url: str, body: bytes, *, headers: Mapping[str, str], settings: Settings, network: Network | None = None
) -> Answer:
    """Send a body to a participant's address.  Raises OutgoingRefused before any connection, or OutgoingFailed."""
    return _send("POST", url, body, headers, settings, network or Network())


def get(url: str, *, headers: Mapping[str, str], settings: Settings, network: Network | None = None) -> Answer:
    """Fetch a small document from a participant's address.  Raises OutgoingRefused or OutgoingFailed."""
    return _send("GET", url, b"", headers, settings, network or Network())


def read_target(url: str, settings: Settings) -> Target:
    """The parts of an address whose form is allowed; no name is resolved.  Raises OutgoingRefused."""
    found = _URL.fullmatch(url) if len(url) <= LONGEST_URL else None
    if found is None:
        raise _refused("the address is not a plain https address without user, fragment and special characters")
    host, port = found["host"].lower(), int(found["port"] or (443 if found["scheme"] == "https" else 80))
    path = found["target"] if found["target"].startswith("/") else f"/{found['target']}"
    target = Target(found["scheme"], host, port, path)
    if port > 65535:
        raise _refused("the port is none")
    if target.loopback and settings.outgoing_allow_loopback:
        return target
    if target.scheme != "https":
        raise _refused("the address is not https")
    if not _is_public_name(host):
        raise _refused("the host is not a public domain name")
    if port not in settings.outgoing_ports:
        raise _refused("the port is not one that may be called")
    return target


def _is_public_name(host: str) -> bool:
    """A domain name of two or more labels that no resolver could take for a number or for the own network."""
    labels = host.split(".")
    well_formed = len(labels) >= 2 and all(_LABEL.fullmatch(label) for label in labels)
    return well_formed and labels[-1][0].isalpha() and labels[-1] not in _LOCAL_NAMES


def _is_one_line(header: tuple[str, str]) -> bool:
    return all(part.isascii() and part.isprintable() for part in header)


def _send(
    method: str, url: str, body: bytes, headers: Mapping[str, str], settings: Settings, network: Network
) -> Answer:
    target = read_target(url, settings)
    if {name.lower() for name in headers} & _OURS or not all(map(_is_one_line, headers.items())):
        raise _refused("a header is not the caller's to set, or is not one line of printable ASCII")
    end = time.monotonic() + settings.outgoing_seconds
    try:
        backend = _Backend(_checked(target, network, end), network, end)
        request = (method, target, body, headers)
        return _exchange(*request, backend=backend, network=network, largest=settings.outgoing_answer_kib << 10)
    except (OSError, queue.Empty, httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError) as error:
        raise OutgoingFailed(
            "the address did not answer as it should",
            expected=f"an HTTP answer of at most {settings.outgoing_answer_kib} KiB in {settings.outgoing_seconds} s",
            got=type(error).__name__,
            action="check that the address works from the public internet",
        ) from error


def _checked(target: Target, network: Network, end: float) -> list[Address]:
    """The addresses to try, all public.  Raises OutgoingRefused when one is not, OSError when there is none."""
    if target.loopback:
        return [read_address(_LOOPBACK)]
    try:
        addresses = [read_address(one) for one in _resolved(target, network, end)]
    except ValueError as error:
        raise OSError("the resolver answered no address") from error
    if not addresses:
        raise OSError("the name has no address")
    if not all(is_public(one) for one in addresses):
        # Which address it was is not said: the caller must not learn what our resolver knows.
        raise _refused("the host does not lead to public addresses only")
    return addresses


def _resolved(target: Target, network: Network, end: float) -> list[str]:
    """What the resolver answers before the deadline; the system's own patience is longer than ours."""
    answers: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(list(network.resolve(target.host, target.port)))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    answer = answers.get(timeout=_left(end))
    if isinstance(answer, Exception):
        raise OSError("the name does not resolve") from answer
    return answer


def _exchange(
    method: str,
    target: Target,
    body: bytes,
    headers: Mapping[str, str],
    *,
    backend: httpcore2.NetworkBackend,
    network: Network,
    largest: int,
) -> Answer:
    """One request over one new connection; the pool has neither proxies, retries nor decompression."""
    default = target.port == (443 if target.scheme == "https" else 80)
    own = {"Host": target.host if default else f"{target.host}:{target.port}", "Connection": "close"}
    own |= {"Accept-Encoding": "identity"} | ({"Content-Length": str(len(body))} if method == "POST" else {})
    parts = {"scheme": target.scheme, "host": target.host, "target": target.target}
    where = httpcore2.URL(port=target.port, **{name: text.encode("ascii") for name, text in parts.items()})
    sent = [(name.encode("ascii"), value.encode("ascii")) for name, value in {**headers, **own}.items()]
    trust = network.trust() if target.scheme == "https" else None
    with (
        httpcore2.ConnectionPool(ssl_context=trust, network_backend=backend) as pool,
        pool.stream(method, where, headers=sent, content=body or None) as response,
    ):
        received = bytearray()
        for chunk in response.iter_stream():
            received += chunk
            if len(received) > largest:
                raise OSError("the answer is too large")
        names = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        return Answer(response.status, names, bytes(received))


class _Backend(httpcore2.NetworkBackend):
    """Connects to the checked addresses, whatever the name says by now."""

    def __init__(self, addresses: list[Address], network: Network, end: float) -> None:
        self._addresses, self._dial, self._end = addresses, network.dial, end

    def connect_tcp(self, host: str, port: int, *_rest: Any, **_options: Any) -> httpcore2.NetworkStream:  # noqa: ARG002
        failure: OSError = OSError("no address")
        for address in self._addresses:
            try:
                return _Stream(self._dial(address, port, _left(self._end)), self._end)
            except OSError as error:
                failure = error
        raise failure


class _Stream(httpcore2.NetworkStream):
    """A connection of which every operation ends at the same moment, however slowly the other side drips."""

    def __init__(self, connection: socket.socket, end: float) -> None:
        self._connection, self._end = connection, end

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        self._connection.settimeout(_left(self._end))
        return self._connection.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        view = memoryview(buffer)
        while view:
            self._connection.settimeout(_left(self._end))
            view = view[self._connection.send(view[:_AT_ONCE]) :]

    def close(self) -> None:
        self._connection.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore2.NetworkStream:
        self._connection.settimeout(_left(self._end))
        return _Stream(ssl_context.wrap_socket(self._connection, server_hostname=server_hostname), self._end)


def _left(end: float) -> float:
    """Seconds that remain.  Raises TimeoutError when none do: 0 would mean "do not wait" to a socket."""
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError("the deadline is over")
    return left


def _refused(detail: str) -> OutgoingRefused:
    return OutgoingRefused(
        detail, expected="https://host.example/path on an allowed port", action="give the public address of the service"
    )
