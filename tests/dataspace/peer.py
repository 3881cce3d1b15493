"""The other side: a connector with a key of its own, a server that takes what we send, and what it says to us."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

from fastapi.testclient import TestClient

from marketplace.dataspace.addresses import base_of
from marketplace.dataspace.identity import TYP
from marketplace.dataspace.messages import CONTEXT
from marketplace.dataspace.states import MOVES, Protocol
from marketplace.kernel.canonical import Json
from marketplace.kernel.signing import SigningKey, generate_key
from marketplace.main import create_app
from marketplace.participants import connectors
from marketplace.participants.models import Connector
from marketplace.participants.schemas import ConnectorIn
from tests.house import House
from workers.relay import run_due

IDENTIFIER = "did:web:peer.example"
PLACES = {Protocol.NEGOTIATION: "negotiations", Protocol.TRANSFER: "transfers"}


@dataclass
class Listening:
    """What came in, and what is answered next.

    statuses: of the next answers, 200 when there is none left; meanwhile: called before an answer is given.
    """

    port: int
    received: list[tuple[str, Json, str]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    pid: str = ""
    meanwhile: Callable[[], None] = lambda: None
    inbox: Inbox = field(default_factory=lambda: Inbox())  # noqa: PLW0108 - the class comes below

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass
class Inbox:
    """What takes a push at the peer.

    statuses: of the next answers, 201 when there is none left; resumes: whether it keeps what came of a broken one and
    says so; breaks_after: bytes after which it hangs up, once; at: called after so many bytes, once.
    """

    statuses: list[int] = field(default_factory=list)
    resumes: bool = True
    breaks_after: int | None = None
    at: tuple[int, Callable[[], None]] | None = None
    kept: bytes = b""
    requests: list[dict[str, str]] = field(default_factory=list)

    def take(self, headers: dict[str, str], body: Any) -> tuple[int, dict[str, str]] | None:
        """The answer to a PUT, None to hang up."""
        self.requests.append(headers)
        if self.statuses:
            body.read(int(headers["content-length"]))
            return self.statuses.pop(0), {}
        ranged = headers.get("content-range", "")
        if ranged.startswith("bytes */"):
            if not self.resumes:
                return 400, {}
            return 308, {"Range": f"bytes=0-{len(self.kept) - 1}"} if self.kept else {}
        start = int(ranged.removeprefix("bytes ").partition("-")[0]) if ranged else 0
        self.kept, left = self.kept[:start], int(headers["content-length"])
        while left:
            chunk = body.read1(min(left, 512))
            if not chunk:
                return None
            left, self.kept = left - len(chunk), self.kept + chunk
            if self.at is not None and len(self.kept) >= self.at[0]:
                called, self.at = self.at[1], None
                called()
            if self.breaks_after is not None and len(self.kept) >= self.breaks_after:
                self.breaks_after = None
                return None
        return 201, {}


@contextmanager
def listening() -> Iterator[Listening]:
    """A server on loopback that keeps every message."""
    heard = Listening(0)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            heard.received.append((self.path, body, self.headers["Authorization"]))
            heard.meanwhile()
            status = heard.statuses.pop(0) if heard.statuses else 200
            heard.pid = heard.pid or f"urn:uuid:{uuid4()}"
            answer = json.dumps({"providerPid": heard.pid, "consumerPid": heard.pid, "state": "REQUESTED"}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def do_PUT(self) -> None:
            answer = heard.inbox.take({name.lower(): value for name, value in self.headers.items()}, self.rfile)
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer[0])
            for name, value in (answer[1] | {"Content-Length": "0"}).items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        heard.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield heard
        finally:
            server.shutdown()
            thread.join(10)


@dataclass
class Peer:
    """A registered connector of a participant, speaking with one that is hosted here."""

    house: House
    hosted: str
    connector: Connector
    key: SigningKey
    heard: Listening
    http: TestClient
    authorization: str = ""

    @property
    def base(self) -> str:
        return base_of(self.house.runtime.settings, self.hosted)

    def header(self, **changes: Any) -> str:
        """A fresh token for our base; changes: claims that differ."""
        now = int(self.house.clock.now().timestamp())
        claims = {"iss": IDENTIFIER, "sub": IDENTIFIER, "aud": self.base, "jti": str(uuid4())}
        claims |= {"iat": now, "exp": now + 60} | changes
        return f"Bearer {self.key.sign_claims(claims, typ=TYP)}"

    def get(self, path: str, **headers: str) -> Any:
        return self.http.get(self.path(path), headers=self._headers(headers))

    def post(self, path: str, body: Any, **headers: str) -> Any:
        return self.http.post(self.path(path), json=body, headers=self._headers(headers))

    def path(self, path: str) -> str:
        return f"/dsp/{self.hosted}{path}" if path.startswith("/.") else f"/dsp/{self.hosted}/2025-1{path}"

    def deliver(self, seconds: float = 1) -> int:
        """Let time pass and send what is due; returns how many pieces of work were done."""
        self.house.clock.advance(timedelta(seconds=seconds))
        return run_due(self.house.runtime, only=["dataspace.send"])

    def _headers(self, more: dict[str, str]) -> dict[str, str]:
        return {"Authorization": self.authorization or self.header()} | more


@contextmanager
def speaking(
    house: House,
    *,
    conformance: str = "",
    mock: str = "",
    signs: bool = True,
    party: str = "pharma",
    hosted: str = "hospital",
    more: Sequence[str] = (),
) -> Iterator[Peer]:
    """A connector of a party, registered by the operator.

    conformance: the connector that the table answers; mock: the one that is believed unsigned; signs: as registered;
    more: further addresses that are registered for it.
    """
    modes = {"dataspace_conformance": conformance, "dataspace_mock_identity": mock}
    settings = house.runtime.settings.model_copy(update=modes)
    house = replace(house, runtime=replace(house.runtime, settings=settings))
    key = generate_key()
    with listening() as heard:
        asked = connector_in(house.cast[party].id, key, heard.origin, house).model_copy(update={"signs": signs})
        asked.addresses.extend(more)
        with house.db() as db:
            connector = connectors.register(db, house.cast["operator"].actor, asked, house.clock.now())
        with TestClient(create_app(house.runtime)) as http:
            yield Peer(house, house.cast[hosted].id, connector, key, heard, http)


def connector_in(participant: str, key: SigningKey, origin: str, house: House) -> ConnectorIn:
    return ConnectorIn(
        participant_id=participant,
        identifier=IDENTIFIER,
        software="example-connector",
        software_version="1.0",
        jwk={name: key.public_jwk[name] for name in ("kty", "crv", "x")},
        addresses=[origin],
        certified_by="Example certifier",
        certificate_number="EX-1",
        certified_until=house.clock.now() + timedelta(days=30),
    )


def message(protocol: Protocol, move: str, **content: Any) -> Json:
    """A message of a move, with an id of its own as other connectors send it."""
    said = MOVES[protocol][move]
    kind = {"@context": [CONTEXT], "@type": said.message, "@id": f"urn:uuid:{uuid4()}"}
    return kind | ({"eventType": said.event} if said.event else {}) | content
