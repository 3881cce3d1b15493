"""The transfer routes behind a door that believes a header: who calls is tested with the participants."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

import uvicorn
from fastapi import FastAPI, Request
from sqlmodel import Session, col, select

from marketplace.audit.entry import Tag, record
from marketplace.audit.models import Entry
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import read_strictly
from marketplace.kernel.errors import DomainError
from marketplace.plumbing import problems
from marketplace.transfer.routes import routes
from tests.house import House


class HeaderGate:
    """Takes `X-Caller: <name in the cast>`; `X-Unbound` drops the key binding."""

    def __init__(self, house: House) -> None:
        self._house = house

    def authenticate(self, db: Session, request: Request, now: datetime) -> Actor:
        name = request.headers.get("x-caller")
        if name is None:
            raise problems.Unauthenticated("nobody calls")
        actor = self._house.cast[name].actor
        return actor if "x-unbound" in request.headers else replace(actor, proof_thumbprint="t" * 43)

    def record_refusal(self, db: Session, actor: Actor, route: str, error: DomainError, now: datetime) -> None:
        record(db, actor, Tag.REQUEST_REFUSED, now, facts={"route": route, "reason": error.slug})


def app_of(house: House) -> FastAPI:
    app = FastAPI()
    app.state.runtime = house.runtime
    app.state.gate = HeaderGate(house)
    problems.install(app)
    app.include_router(routes)
    return app


def with_settings(house: House, **changed: object) -> House:
    """The same house run with other settings."""
    settings = house.runtime.settings.model_copy(update=changed)
    return replace(house, runtime=replace(house.runtime, settings=settings))


@contextmanager
def served(house: House) -> Iterator[tuple[str, int]]:
    """A real server on a loopback socket; yields its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    # Small kernel buffers, so that a client that stops reading is noticed early.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    server = uvicorn.Server(uvicorn.Config(app_of(house), log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield listener.getsockname()
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def entries(house: House, *tags: str) -> list[dict]:
    """Entries of the given tags in order of writing."""
    with house.runtime.database.reading() as db:
        rows = db.exec(select(Entry).where(col(Entry.tag).in_(tags)).order_by(Entry.id)).all()
    return [read_strictly(row.body) for row in rows]
