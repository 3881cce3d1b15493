"""A front door with a few more routes, whose only effect is to bump an epoch: its number says how often they worked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import Response
from fastapi.responses import JSONResponse
from sqlmodel import select

from marketplace.audit.entry import Tag, record
from marketplace.audit.models import Entry
from marketplace.client.api import ApiClient, in_process
from marketplace.kernel.errors import Conflict, DomainError, Forbidden, Invalid, NotFound, Unavailable
from marketplace.main import create_app
from marketplace.plumbing.bodies import LARGE, takes_body_of
from marketplace.plumbing.epochs import Epoch, bump
from marketplace.plumbing.limits import Limits
from marketplace.plumbing.problems import BadRequest, TooManyRequests, Unauthenticated
from marketplace.plumbing.web import Call, Verb, View, router
from tests.house import House

BASE = "http://127.0.0.1:8000"
SECRET = "张伟 13800000000"
# Any tag will do.
WORKED = Tag.EVIDENCE_ADDED


class DoorShut(Conflict):
    """The door is shut."""


class NotForYou(Forbidden):
    """This door is not yours."""


ERRORS: dict[str, tuple[int, DomainError]] = {
    "not-found": (404, NotFound("no such thing", got="x")),
    "door-shut": (409, DoorShut("shut", expected="an open door", got="a shut one", action="come back at nine")),
    "not-for-you": (403, NotForYou("not yours")),
    "invalid": (422, Invalid("not a number")),
    "unavailable": (503, Unavailable("away")),
    "unauthenticated": (401, Unauthenticated("who are you", challenge="DPoP")),
    "bad-request": (400, BadRequest("a header is missing")),
    "too-many-requests": (429, TooManyRequests("slowly")),
    "domain-error": (500, DomainError("of no kind")),
}

routes = router("door")


def _work(verb: Call, name: str, word: str) -> None:
    """The effect of every route, with the entry that a change must have."""
    bump(verb.db, name, word)
    record(verb.db, verb.actor, WORKED, verb.now, facts={"door": name, "word": word})


@routes.post("/door/{name}/knock")
@takes_body_of(LARGE)
def knock(verb: Verb, name: str, seconds: float = 0) -> dict[str, str]:
    _work(verb, name, "knocked")
    time.sleep(seconds)
    return {"name": name, "word": "come in"}


@routes.post("/door/{name}/raise/{slug}")
def raise_error(verb: Verb, name: str, slug: str) -> dict[str, str]:
    _work(verb, name, "tried")
    raise ERRORS[slug][1]


@routes.post("/door/{name}/refuse")
def refuse(verb: Verb, name: str) -> Response:
    _work(verb, name, "refused")
    return JSONResponse({"reason": "not today"}, status_code=403)


@routes.post("/door/{name}/answer/{status}")
def answer(verb: Verb, name: str, status: int, size: int = 0) -> Response:
    _work(verb, name, "answered")
    return JSONResponse({"padding": "x" * size}, status_code=status)


@routes.post("/door/{name}/store")
def store(verb: Verb, name: str) -> dict[str, str]:
    _work(verb, name, "stored")
    return {"sha256": verb.runtime.store.put([name.encode() * 1000], limit=1 << 20).sha256}


@routes.post("/door/{name}/break")
def break_down(verb: Verb, name: str) -> None:
    _work(verb, name, "broke")
    raise RuntimeError(SECRET)


@routes.get("/door/{name}")
def look(view: View, name: str) -> dict[str, int]:
    found = view.db.get(Epoch, name)
    return {"number": found.number if found else 0}


class Knocker(ApiClient):
    """A client that gives back refusals too."""

    def knock(self, path: str, key: str | None = "key-00000001", **parts: Any) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        parts = parts or {"json": {}}
        response = self._open("POST", f"/v1/door/{path}", headers=headers, **parts)
        response.read()
        response.close()
        return response


@dataclass
class Door:
    """The door, its house, and two who knock.  firsts: the number of `watched` at the first byte of each answer."""

    house: House
    hospital: Knocker
    pharma: Knocker
    firsts: list[int]

    def number(self, name: str) -> int:
        """How often something worked, as another connection sees it."""
        with self.house.runtime.database.reading() as db:
            return next(iter(db.exec(select(Epoch.number).where(Epoch.subject == name))), 0)

    def entries(self, tag: str) -> list[Entry]:
        with self.house.runtime.database.reading() as db:
            return list(db.exec(select(Entry).where(Entry.tag == tag).order_by(Entry.id)))


@contextmanager
def open_door(house: House, limits: Limits | None = None) -> Iterator[Door]:
    """Open the real application with the routes above, and watch the first byte of every answer."""
    app = create_app(house.runtime)
    app.include_router(routes)
    if limits is not None:
        app.state.limits = limits
    door: Door
    firsts: list[int] = []

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        async def first(message: Any) -> None:
            if message["type"] == "http.response.start":
                firsts.append(door.number("watched"))
            await send(message)

        await app(scope, receive, first)

    with in_process(watched, BASE) as http:
        parties = [house.cast[name] for name in ("hospital", "pharma")]
        clients = [Knocker(http, BASE, party.id, party.key, house.clock) for party in parties]
        door = Door(house, clients[0], clients[1], firsts)
        yield door
