"""The only way out: HTTP to an address that a participant named, without lending it our place in the network (T16).

https to public addresses only: the name is resolved once, every address it has must be public, and the connection
goes to exactly what was checked, under the name's own certificate.  No redirect is followed, no proxy is asked, the
answer is small and all of it comes before one deadline.
"""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

import httpcore2

from marketplace.kernel.errors import Invalid, Unavailable, shown
from marketplace.plumbing.addresses import Address, is_public, read_address
from marketplace.plumbing.connections import Connections, Kept, Place
from marketplace.plumbing.wires import Backend, Network, left
from marketplace.settings import Settings

LONGEST_URL = 2000
# One strict form instead of a lenient parser: no user, no fragment, no backslash, no escapes in the host.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]{1,253})(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<target>(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?(?:\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?)"
)
_ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<host>[a-z0-9.-]{1,253}):(?P<port>[1-9][0-9]{0,4})")
# In its one spelling: with a leading zero a resolver may take a number for octal.
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){4}")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
# Names that no public authority gives out (RFC 6761, RFC 8375, RFC 9476) or that lead into the own network.
_LOCAL_NAMES = frozenset(
    {"alt", "arpa", "corp", "home", "internal", "invalid", "lan", "local", "localdomain", "localhost", "onion"}
)
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "expect", "te", "trailer"})
_LOOPBACK = "127.0.0.1"
FAILURES = (OSError, queue.Empty, httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError)
"""What the network raises when an address does not answer as it should."""


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
    """An address whose form is allowed.  host: ASCII, lower case; target: path and query.

    named: it stands in a list of exact origins, so that it may lead to where no other address may.
    """

    scheme: str
    host: str
    port: int
    target: str
    named: bool = False

    @property
    def origin(self) -> str:
        """The address as `scheme://host:port`."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether it is the machine itself, which only a test's settings allow."""
        return self.host == _LOOPBACK


def post(
    url: str,
    body: bytes,
    *,
    headers: Mapping[str, str],
    settings: Settings,
    network: Network | Connections | None = None,
    origins: Collection[str] = (),
) -> Answer:
    """Send a body to a participant's address.  Raises OutgoingRefused before any connection, or OutgoingFailed.

    network: Connections keep the connection for a further request.  origins: as for `read_target`.
    """
    return _send("POST", read_target(url, settings, origins), body, headers, settings, network or Network())


def get(
    url: str,
    *,
    headers: Mapping[str, str],
    settings: Settings,
    network: Network | None = None,
    origins: Collection[str] = (),
) -> Answer:
    """Fetch a small document from a participant's address.  Raises OutgoingRefused or OutgoingFailed.

    origins: as for `read_target`.
    """
    return _send("GET", read_target(url, settings, origins), b"", headers, settings, network or Network())


def require_origin(text: str) -> str:
    """Return `scheme://host:port` in its one spelling, as `read_target` compares it.  Raises OutgoingRefused."""
    found = _ORIGIN.fullmatch(text)
    if found is None or int(found["port"]) > 65535:
        raise OutgoingRefused(
            "the address is not an origin", expected="scheme://host:port in lower case", got=shown(text)
        )
    return text


def read_target(url: str, settings: Settings, origins: Collection[str] = ()) -> Target:
    """The parts of an address whose form is allowed; no name is resolved.  Raises OutgoingRefused.

    origins: exact `scheme://host:port` of one registered component; such an address needs to be neither https nor
    public, and no other address is opened by it.
    """
    target = _read(url)
    if target.origin in origins:
        return replace(target, named=True)
    if target.loopback and settings.outgoing_allow_loopback:
        return target
    if target.scheme != "https":
        raise _refused("the address is not https")
    if not _is_public_name(target.host):
        raise _refused("the host is not a public domain name")
    if target.port not in settings.outgoing_ports:
        raise _refused("the port is not one that may be called")
    return target


def origin_of(url: str) -> str:
    """The `scheme://host:port` of an address whose form is allowed.  Raises OutgoingRefused."""
    return _read(url).origin


def _read(url: str) -> Target:
    found = _URL.fullmatch(url) if len(url) <= LONGEST_URL else None
    if found is None:
        raise _refused("the address is not a plain https address without user, fragment and special characters")
    host, port = found["host"].lower(), int(found["port"] or (443 if found["scheme"] == "https" else 80))
    path = found["target"] if found["target"].startswith("/") else f"/{found['target']}"
    target = Target(found["scheme"], host, port, path)
    if port > 65535:
        raise _refused("the port is none")
    return target


def _is_public_name(host: str) -> bool:
    """A domain name of two or more labels that no resolver could take for a number or for the own network."""
    labels = host.split(".")
    well_formed = len(labels) >= 2 and all(_LABEL.fullmatch(label) for label in labels)
    return well_formed and labels[-1][0].isalpha() and labels[-1] not in _LOCAL_NAMES


def _is_one_line(header: tuple[str, str]) -> bool:
    return all(part.isascii() and part.isprintable() for part in header)


def _send(
    method: str,
    target: Target,
    body: bytes,
    headers: Mapping[str, str],
    settings: Settings,
    network: Network | Connections,
) -> Answer:
    require_headers(headers)
    end, largest = time.monotonic() + settings.outgoing_seconds, settings.outgoing_answer_kib << 10
    request = (method, target, body or None, len(body) if method == "POST" else None, headers)
    try:
        if isinstance(network, Network):
            backend = Backend(checked(target, network, end), network, end)
            return exchange(*request, backend=backend, network=network, largest=largest)
        # A request that fails over a kept connection is not sent again over a new one: the other side may have acted on
        # it, and spent the token in it.  It is an attempt that failed; whoever makes another brings a new token.
        place = Place(target.scheme, target.host, target.port, target.named)
        with network.lent(place, lambda: checked(target, network.network, end), end) as kept:
            return _asked(kept, *request, largest)
    except FAILURES as error:
        raise failed(error, settings) from error


def require_headers(headers: Mapping[str, str]) -> None:
    """Raises OutgoingRefused for a header that is ours to set, or that is not one line of printable ASCII."""
    if {name.lower() for name in headers} & _OURS or not all(map(_is_one_line, headers.items())):
        raise _refused("a header is not the caller's to set, or is not one line of printable ASCII")


def failed(error: Exception, settings: Settings) -> OutgoingFailed:
    """What an error of the network means to a caller."""
    return OutgoingFailed(
        "the address did not answer as it should",
        expected=f"an HTTP answer of at most {settings.outgoing_answer_kib} KiB in {settings.outgoing_seconds} s",
        got=type(error).__name__,
        action="check that the address works from the public internet",
    )


def checked(target: Target, network: Network, end: float) -> list[Address]:
    """The addresses to try, all public.  Raises OutgoingRefused when one is not, OSError when there is none."""
    if target.loopback and not target.named:
        return [read_address(_LOOPBACK)]
    try:
        addresses = [read_address(one) for one in _resolved(target, network, end)]
    except ValueError as error:
        raise OSError("the resolver answered no address") from error
    if not addresses:
        raise OSError("the name has no address")
    if not target.named and not all(is_public(one) for one in addresses):
        # Which address it was is not said: the caller must not learn what our resolver knows.
        raise _refused("the host does not lead to public addresses only")
    return addresses


def _resolved(target: Target, network: Network, end: float) -> list[str]:
    """What the resolver answers before the deadline; the system's own patience is longer than ours.

    A host that is an address itself, which only an exact origin may be, is not asked for.
    """
    if _IPV4.fullmatch(target.host):
        return [target.host]
    answers: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(list(network.resolve(target.host, target.port)))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    answer = answers.get(timeout=left(end))
    if isinstance(answer, Exception):
        raise OSError("the name does not resolve") from answer
    return answer


def exchange(
    method: str,
    target: Target,
    content: bytes | Iterator[bytes] | None,
    length: int | None,
    headers: Mapping[str, str],
    *,
    backend: httpcore2.NetworkBackend,
    network: Network,
    largest: int,
) -> Answer:
    """One request over one new connection; the pool has neither proxies, retries nor decompression.

    length: bytes of the content, None = the request has none.  Raises one of FAILURES.
    """
    trust = network.trust() if target.scheme == "https" else None
    with httpcore2.ConnectionPool(ssl_context=trust, network_backend=backend) as pool:
        return _asked(pool, method, target, content, length, {**headers, "Connection": "close"}, largest)


def _asked(
    over: httpcore2.ConnectionPool | Kept,
    method: str,
    target: Target,
    content: bytes | Iterator[bytes] | None,
    length: int | None,
    headers: Mapping[str, str],
    largest: int,
) -> Answer:
    parts = {"scheme": target.scheme, "host": target.host, "target": target.target}
    where = httpcore2.URL(port=target.port, **{name: text.encode("ascii") for name, text in parts.items()})
    default = target.port == (443 if target.scheme == "https" else 80)
    own = {"Host": target.host if default else f"{target.host}:{target.port}", "Accept-Encoding": "identity"}
    own |= {"Content-Length": str(length)} if length is not None else {}
    sent = [(name.encode("ascii"), value.encode("ascii")) for name, value in {**headers, **own}.items()]
    with over.stream(method, where, headers=sent, content=content) as response:
        received = bytearray()
        for chunk in response.iter_stream():
            received += chunk
            if len(received) > largest:
                raise OSError("the answer is too large")
        names = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        return Answer(response.status, names, bytes(received))


def _refused(detail: str) -> OutgoingRefused:
    return OutgoingRefused(
        detail, expected="https://host.example/path on an allowed port", action="give the public address of the service"
    )
