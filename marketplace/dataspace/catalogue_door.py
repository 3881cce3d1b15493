"""The catalogue part of the protocol's binding: pages and data sets, with an ETag where they are asked for by GET."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from fastapi import Request
from sqlmodel import Session
from starlette.responses import Response

from marketplace.dataspace import datasets
from marketplace.dataspace.addresses import base_of
from marketplace.dataspace.answering import Answering, DatasetPage
from marketplace.dataspace.filters import read_filter, read_limit
from marketplace.dataspace.hearing import Talk
from marketplace.dataspace.hosting import known_talk, said_by
from marketplace.dataspace.messages import check
from marketplace.exchange.catalogue import LONGEST_PAGE, MAX_PAGE
from marketplace.plumbing import bodies
from marketplace.plumbing.conditional import answer, is_any
from marketplace.plumbing.pieces import PiecesResponse, in_pieces
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.turns import Turns, in_own_thread

PAGE: Final = 50
JSON: Final = "application/json"


@dataclass(frozen=True)
class _Asked:
    """A page of a catalogue.  held: If-None-Match, which a message has not (RFC 9110, 13.2.1)."""

    talk: Talk
    wanted: dict[str, str]
    limit: int
    cursor: str | None
    held: str | None
    conditional: bool


async def catalogue(request: Request) -> Response:
    """A page of the catalogue; a page after the first is asked for by its link, with or without the message."""
    if request.method == "GET":
        bodies.refuse_body(request)
        talk, said, held = await known_talk(request), [dict(request.query_params)], _held(request)
    else:
        talk, message = await said_by(request, acts=False)
        said, held = check(message, "CatalogRequestMessage").get("filter", []), None
        said = [*(said if isinstance(said, list) else [said]), {"limit": request.query_params.get("limit", "")}]
    limit = 1 if is_any(held) else read_limit(said, PAGE, LONGEST_PAGE)
    cursor = request.query_params.get("cursor")
    asked = _Asked(talk, read_filter(said), limit, cursor, held, request.method == "GET")
    return await _read(request, lambda db: _page(request, db, asked))


async def dataset(request: Request) -> Response:
    """One data set."""
    bodies.refuse_body(request)
    talk, held, wanted = await known_talk(request), _held(request), request.path_params["dataset"]
    answering: Answering = request.app.state.answering
    runtime: Runtime = request.app.state.runtime
    base, now = base_of(runtime.settings, talk.hosted.id), runtime.clock.now()

    def work(db: Session) -> Response:
        def make() -> Response:
            found = datasets.alone(answering.dataset(db, talk, wanted, now), base)
            return Response(json.dumps(found, ensure_ascii=False).encode(), media_type=JSON)

        etag = answering.revision(db, talk, now, base, wanted)
        return answer(etag, held, make, vary="Authorization", private=True)

    return await _read(request, work)


async def _read(request: Request, work: Callable[[Session], Response]) -> Response:
    """The answer, read in a transaction that ends with it: at once, or for a long one when it was sent."""
    runtime: Runtime = request.app.state.runtime

    def once() -> Response:
        db, response = runtime.database.session(write=False), None
        try:
            response = work(db)
        finally:
            if not isinstance(response, PiecesResponse):
                db.close()
        return response

    return await in_own_thread(Turns.TRANSACTIONS.of(request.app), once)


def _page(request: Request, db: Session, asked: _Asked) -> Response:
    answering: Answering = request.app.state.answering
    runtime: Runtime = request.app.state.runtime
    talk, now, base = asked.talk, runtime.clock.now(), base_of(runtime.settings, asked.talk.hosted.id)

    def make() -> Response:
        page = answering.datasets(db, talk, asked.wanted, asked.cursor, now, asked.limit)
        first = asked.cursor is None and not asked.wanted
        others = answering.catalogues(db, talk) if first else ()
        nested = [datasets.nested(one.id, base_of(runtime.settings, one.id)) for one in others]
        pieces = in_pieces(datasets.catalogue(talk.hosted.id, base, page.datasets, nested))
        if asked.limit > MAX_PAGE:
            response: Response = PiecesResponse(pieces, db, JSON, runtime.settings, talk.actor.participant)
        else:
            response = Response(b"".join(pieces), media_type=JSON)
        response.headers.update(_links(f"{base}/catalog/request", asked, page))
        return response

    if not asked.conditional:
        return make()
    etag = answering.revision(db, talk, now, base, asked.wanted, asked.cursor, asked.limit)
    return answer(etag, asked.held, make, vary="Authorization", private=True)


def _links(address: str, asked: _Asked, page: DatasetPage) -> dict[str, str]:
    """Where the pages beside this one are (RFC 8288); the first page has no cursor."""
    found = []
    as_long = {"limit": str(asked.limit)} if asked.limit != PAGE else {}
    for name, cursor in (("next", page.next_cursor), ("previous", page.previous_cursor)):
        if cursor is not None:
            said = ({"cursor": cursor} if cursor else {}) | as_long | asked.wanted
            query = "&".join(f"{one}={quote(value, safe='')}" for one, value in said.items())
            found.append(f'<{address}{"?" if query else ""}{query}>; rel="{name}"')
    return {"Link": ", ".join(found)} if found else {}


def _held(request: Request) -> str | None:
    return request.headers.get("if-none-match")
