"""A data plane in Python that Eclipse EDC steers by Data Plane Signaling, and the place where its events are told.

EDC's own data plane has no public door since 0.15, so that whoever provides with EDC brings a data plane.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from marketplace.dataspace.messages import HTTP_ENDPOINT
from marketplace.kernel.canonical import Json
from tests.peer.controlplane import CONTEXT

_DIALECT = {"dspace": "https://w3id.org/dspace/v0.8/"}
"""How signals name addresses of data, whatever version of the protocol is spoken beside them."""


@dataclass
class DataPlane:
    """What it serves, to whom, and what it was told.  tokens: by flow; told: what was signalled, in order."""

    content: bytes
    port: int = 0
    tokens: dict[str, str] = field(default_factory=dict)
    told: list[tuple[str, str]] = field(default_factory=list)
    events: list[Json] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def signalled(self, verb: str, flow: str) -> Json:
        """Take a signal; a started flow gets an address with a token of its own, an ended one loses it."""
        self.told.append((verb, flow))
        if verb != "start":
            self.tokens.pop(flow, None)
            return {}
        self.tokens[flow] = secrets.token_urlsafe(24)
        said = {"endpoint": f"{self.url}/public/{flow}", "authorization": self.tokens[flow], "authType": "bearer"}
        properties = [{"dspace:name": name, "dspace:value": value} for name, value in said.items()]
        address = {"dspace:endpointType": HTTP_ENDPOINT, "dspace:endpointProperties": properties}
        return {"@context": CONTEXT | _DIALECT, "@type": "DataFlowResponseMessage", "dataAddress": address}

    def address_told(self, process: str, seconds: float = 30) -> Json:
        """The address of data that the control plane told for a transfer of its own.  Raises AssertionError."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for one in self.events:
                payload = one.get("payload", {})
                if one.get("type") == "TransferProcessStarted" and payload.get("transferProcessId") == process:
                    return dict(payload["dataAddress"]["properties"])
            time.sleep(0.05)
        raise AssertionError("the control plane told no address of data")


@contextmanager
def serving(content: bytes) -> Iterator[DataPlane]:
    """A data plane on loopback; it ends with the block."""
    plane = DataPlane(content)
    handler = type("Handler", (_Handler,), {"plane": plane})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        plane.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield plane
        finally:
            server.shutdown()
            thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    """`/dataflows/...` is signalled, `/public/<flow>` pulled, `/events` told."""

    plane: DataPlane

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        _, place, *rest = self.path.split("/")
        if place == "events":
            self.plane.events.append(body)
            return self._answer(200, b"")
        flow, verb = (str(_member(body, "processId")), rest[0]) if len(rest) == 1 else (rest[0], rest[1])
        return self._answer(200, json.dumps(self.plane.signalled(verb, flow)).encode())

    def do_GET(self) -> None:
        if self.path.endswith("/check"):
            return self._answer(200, b"")
        token = self.plane.tokens.get(self.path.rpartition("/")[2])
        if token is None or self.headers["Authorization"].rpartition(" ")[2] != token:
            return self._answer(401, b"")
        asked = (self.headers["Range"] or "").removeprefix("bytes=").partition("-")
        start, end = int(asked[0] or 0), int(asked[2] or len(self.plane.content) - 1)
        return self._answer(206 if asked[1] else 200, self.plane.content[start : end + 1])

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if self.command == "POST" else "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        pass


def _member(body: Json, name: str) -> Any:
    """A member whatever prefix the sender gives it."""
    return next((value for key, value in body.items() if key.rpartition(":")[2].rpartition("/")[2] == name), None)
