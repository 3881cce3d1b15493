"""The transfer routes behind a door that believes a header: who calls is tested with the participants."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from fastapi import FastAPI, Request
from sqlmodel import Session, col, select
from starlette.types import ASGIApp

from marketplace.audit.entry import Tag, record
from marketplace.audit.models import Entry
from marketplace.audit.receipts import Promises
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import read_strictly
from marketplace.kernel.errors import DomainError
from marketplace.plumbing import problems, sockets
from marketplace.transfer import decision_routes
from marketplace.transfer.routes import routes
from tests.house import House

PATIENCE_SECONDS = 120


class HeaderGate(Promises):
    """Takes `X-Caller: <name in the cast>`; `X-Unbound` drops the key binding."""

    def __init__(self, house: House) -> None:
        super().__init__(house.runtime)
        self._house = house

    def judge_headers(self, request: Request, now: datetime) -> None:
        """A stranger is known by the header that is not there."""
        if "x-caller" not in request.headers:
            raise problems.Unauthenticated("nobody calls")

    def authenticate(self, db: Session, request: Request, now: datetime) -> Actor:
        name = request.headers.get("x-caller")
        if name is None:
            raise problems.Unauthenticated("nobody calls")
        actor = self._house.cast[name].actor
        return actor if "x-unbound" in request.headers else replace(actor, proof_thumbprint="t" * 43)

    def recognise(self, db: Session, request: Request, now: datetime) -> tuple[Actor, Callable[[Session], None]]:
        return self.authenticate(db, request, now), lambda _: None

    def record_refusal(self, db: Session, actor: Actor, route: str, error: DomainError, now: datetime) -> None:
        record(db, actor, Tag.REQUEST_REFUSED, now, facts={"route": route, "reason": error.slug})


def app_of(house: House) -> FastAPI:
    app = FastAPI()
    app.state.runtime = house.runtime
    app.state.gate = HeaderGate(house)
    problems.install(app)
    app.include_router(decision_routes.routes)
    app.include_router(routes)
    return app


def with_settings(house: House, **changed: object) -> House:
    """The same house run with other settings."""
    settings = house.runtime.settings.model_copy(update=changed)
    return replace(house, runtime=replace(house.runtime, settings=settings))


@contextmanager
def served(house: House, app: ASGIApp | None = None) -> Iterator[tuple[str, int]]:
    """A real server on a loopback socket, of the house's own application or another; yields its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = sockets.server(app or app_of(house), house.runtime.settings, log_level="critical", lifespan="off")
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    try:
        yield listener.getsockname()
    finally:
        server.should_exit = True
        thread.join(PATIENCE_SECONDS)
        listener.close()
        assert not thread.is_alive(), "the server does not end"


@contextmanager
def reading(address: tuple[str, int], path: str, headers: dict[str, str]) -> Iterator[http.client.HTTPResponse]:
    """The answer to a GET, over a connection that holds little of what is not read."""
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE_SECONDS)
    connection.sock = socket.socket()
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
    connection.sock.settimeout(PATIENCE_SECONDS)
    connection.sock.connect(address)
    connection.request("GET", path, headers=headers)
    try:
        yield connection.getresponse()
    finally:
        connection.close()


def rest_of(answer: http.client.HTTPResponse) -> tuple[bytes, bool]:
    """What still comes, and whether the connection was cut before its announced end."""
    got = []
    try:
        while piece := answer.read1(1 << 16):
            got.append(piece)
    except (http.client.IncompleteRead, OSError):
        return b"".join(got), True
    return b"".join(got), answer.length not in (0, None)


def wait_until(check: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Until it is so, for which a busy machine has a while."""
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def entries(house: House, *tags: str) -> list[dict]:
    """Entries of the given tags in order of writing."""
    with house.runtime.database.reading() as db:
        rows = db.exec(select(Entry).where(col(Entry.tag).in_(tags)).order_by(Entry.id)).all()
    return [read_strictly(row.body) for row in rows]
