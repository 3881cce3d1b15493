"""The far side of an outgoing call: a canary that counts connections, odd servers, and a network that leads to them."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from marketplace.plumbing.addresses import Address
from marketplace.plumbing.outgoing import Network

Handler = Callable[[socket.socket], None]
SECONDS = 60
"""How long a far side waits for the other one, so that on no machine it is the one that gives up."""
SHORT = 1024
"""Bytes of content that a far side reads before it does anything else."""


@dataclass
class Server:
    """A listening socket on loopback.  port; connections: how many came; requests: the first bytes of each."""

    port: int
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)


@contextmanager
def serving(
    handle: Handler, *, host: str = "127.0.0.1", context: ssl.SSLContext | None = None, keeps: bool = False
) -> Iterator[Server]:
    """Serve every connection with one function, until the block ends.

    keeps: the function is called for each request of a connection, until the other side ends it; else for the first.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listening, ExitStack() as stack:
        server = Server(listening.getsockname()[1])
        listening.settimeout(0.05)
        ended = threading.Event()

        def speak(connection: socket.socket) -> None:
            connection.settimeout(SECONDS)
            # Whoever goes away in the middle of a handshake or an answer is what many tests are about.
            with connection, suppress(OSError), _spoken(connection, context) as spoken:
                while said := _request(spoken):
                    server.requests.append(said)
                    handle(spoken)
                    if not keeps:
                        return

        def accept() -> None:
            while not ended.is_set():
                with suppress(TimeoutError):
                    connection, _ = listening.accept()
                    server.connections += 1
                    stack.callback(_start(speak, connection).join, 10)

        accepting = _start(accept)
        try:
            yield server
        finally:
            ended.set()
            accepting.join(10)


def _start(work: Callable[..., None], *given: socket.socket) -> threading.Thread:
    thread = threading.Thread(target=work, args=given)
    thread.start()
    return thread


def _spoken(connection: socket.socket, context: ssl.SSLContext | None) -> socket.socket:
    return context.wrap_socket(connection, server_side=True) if context else connection


def _request(spoken: socket.socket) -> bytes:
    """The first bytes, and the rest of a short content that they announce: bytes left unread reset the answer."""
    said = spoken.recv(65536)
    head, _, content = said.partition(b"\r\n\r\n")
    announced = re.search(rb"\r\nContent-Length: (\d+)", head)
    length = int(announced[1]) if announced else 0
    missing = length - len(content) if length <= SHORT else 0
    while missing > 0 and (more := spoken.recv(65536)):
        said, missing = said + more, missing - len(more)
    return said


def answering(body: bytes = b"ok", *, status: str = "200 OK", headers: str = "") -> Handler:
    """A whole answer at once."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode()
    return lambda connection: connection.sendall(head + body)


def turns(*handlers: Handler) -> Handler:
    """Another answer to each request; to the last and all after it the same."""
    left = list(handlers)

    def take_turn(connection: socket.socket) -> None:
        handle = left.pop(0) if len(left) > 1 else left[0]
        handle(connection)

    return take_turn


def contexts(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's TLS context with a certificate of its own for a name, and a client's that trusts it."""
    key = Ed25519PrivateKey.generate()
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, None)
    )
    file = folder / f"{name}.pem"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(pem + certificate.public_bytes(Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=certificate.public_bytes(Encoding.PEM).decode())


@dataclass
class Wires:
    """A network whose resolver answers from a table, turn by turn, and whose public addresses all lead to loopback."""

    names: dict[str, list[list[str]]]
    trust: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    asked: list[str] = field(default_factory=list)
    dialled: list[tuple[str, int]] = field(default_factory=list)
    leads_to: int = 0

    @property
    def network(self) -> Network:
        return Network(resolve=self._resolve, dial=self._dial, trust=lambda: self.trust)

    def _resolve(self, host: str, _port: int) -> list[str]:
        self.asked.append(host)
        turns = self.names.get(host)
        if not turns:
            raise OSError("no such name")
        return turns.pop(0) if len(turns) > 1 else turns[0]

    def _dial(self, address: Address, port: int, seconds: float) -> socket.socket:
        self.dialled.append((str(address), port))
        return socket.create_connection(("127.0.0.1", self.leads_to), timeout=seconds)
