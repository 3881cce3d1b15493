"""The protocol's HTTP binding: one base path for each participant hosted here, an application of its own.

It answers in the protocol's own words: typed errors, no problem documents, nothing of the framework's validation.
"""

from __future__ import annotations

from functools import partial

from fastapi import FastAPI, Request
from sqlmodel import Session
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import Scope

from marketplace.dataspace import catalogue_door, hearing, kit, landing, problems, pull, queries
from marketplace.dataspace.chosen import answering as chosen
from marketplace.dataspace.hearing import Declined
from marketplace.dataspace.hosting import (
    Handler,
    hosted,
    in_transaction,
    known_talk,
    require_speaking,
    said_by,
    typed_answers,
)
from marketplace.dataspace.messages import VERSION, BadMessage
from marketplace.dataspace.models import Exchange
from marketplace.dataspace.moving import acknowledgement
from marketplace.dataspace.states import MOVES, Move, Protocol, read_move
from marketplace.kernel.canonical import Json
from marketplace.plumbing import bodies
from marketplace.plumbing.limits import Limits
from marketplace.plumbing.runtime import Runtime


class _Route(Route):
    """One method of one path, without the framework's reading of parameters: the handlers read the request."""

    def __init__(self, path: str, handler: Handler, method: str) -> None:
        super().__init__(path, handler, methods=[method])
        # Starlette answers HEAD wherever there is a GET; the protocol has none.
        self.methods = {method}

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, found = super().matches(scope)
        if match is not Match.NONE:
            found["route"] = self
        return match, found


def create(market: FastAPI) -> FastAPI:
    """The application to be mounted at `/dsp`; it shares the state of the market's, with its limits and turns."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.state, runtime = market.state, market.state.runtime
    app.state.answering = chosen(runtime.settings)
    base = "/{participant}/" + VERSION

    def add(method: str, path: str, kind: str, handler: Handler) -> None:
        app.router.routes.append(_Route(path, typed_answers(kind, handler), method))

    add("GET", "/{participant}/.well-known/dspace-version", problems.CATALOG, _version)
    for method in ("POST", "GET"):
        add(method, f"{base}/catalog/request", problems.CATALOG, catalogue_door.catalogue)
    add("GET", f"{base}/catalog/datasets/{{dataset}}", problems.CATALOG, catalogue_door.dataset)
    for protocol, place, kind, first in (
        (Protocol.NEGOTIATION, "negotiations", problems.NEGOTIATION, ("request", "offer")),
        (Protocol.TRANSFER, "transfers", problems.TRANSFER, ("request",)),
    ):
        for move in (MOVES[protocol][name] for name in first):
            add("POST", f"{base}/{place}/{move.path}", kind, partial(_open, move=move))
        add("GET", f"{base}/{place}/{{exchange}}", kind, partial(_read, protocol=protocol))
        add("POST", f"{base}/{place}/{{exchange}}/{{path:path}}", kind, partial(_move, protocol=protocol))
    app.add_api_route(f"{base}/data/{{exchange}}", pull.download, methods=["GET"], response_model=None)
    app.add_api_route(f"{base}/inbox/{{exchange}}", landing.take, methods=["PUT"], response_model=None)
    if runtime.settings.dataspace_conformance:
        add("POST", "/{participant}/conformance/negotiations", problems.NEGOTIATION, kit.negotiate)
        add("POST", "/{participant}/conformance/transfers", problems.TRANSFER, kit.transfer)
    return app


async def _version(request: Request) -> Response:
    bodies.refuse_body(request)
    Limits.of(request).unknown(request)
    runtime: Runtime = request.app.state.runtime
    with runtime.database.reading() as db:
        here = hosted(db, request.path_params["participant"])
    entry = {"version": VERSION, "path": f"/{VERSION}", "binding": "HTTPS", "serviceId": here.id}
    return JSONResponse({"protocolVersions": [entry]})


async def _read(request: Request, protocol: Protocol) -> Response:
    bodies.refuse_body(request)
    talk = await known_talk(request)
    runtime: Runtime = request.app.state.runtime
    with runtime.database.reading() as db:
        asked = request.path_params["exchange"]
        found = queries.between(db, talk.hosted.id, talk.connector.id, protocol, asked)
    return JSONResponse(acknowledgement(found))


async def _open(request: Request, move: Move) -> Response:
    talk, message = await said_by(request, acts=True)
    request.state.ids = _ids(message)
    require_speaking(talk.hosted)

    def work(db: Session, runtime: Runtime) -> Exchange | Declined:
        answers, now = request.app.state.answering, runtime.clock.now()
        return hearing.open_by_peer(db, talk, move, message, answers, runtime, now)

    opened = await in_transaction(request, work)
    if isinstance(opened, Declined):
        return _declined(request, move.protocol, opened)
    return JSONResponse(acknowledgement(opened), status_code=201)


async def _move(request: Request, protocol: Protocol) -> Response:
    talk, message = await said_by(request, acts=True)
    request.state.ids = _ids(message)
    move = read_move(protocol, request.path_params["path"], str(message.get("eventType", "")))
    if move is None:
        raise BadMessage("the protocol has no such message", action="see its HTTP binding")

    def work(db: Session, runtime: Runtime) -> Json | Declined:
        answers, now, asked = request.app.state.answering, runtime.clock.now(), request.path_params["exchange"]
        heard = hearing.hear(db, talk, asked, move, message, answers, runtime, now)
        if isinstance(heard, Declined):
            return heard
        more: Json = answers.taken(db, heard, move, runtime, now)
        return acknowledgement(heard) | more

    answer = await in_transaction(request, work)
    return _declined(request, protocol, answer) if isinstance(answer, Declined) else JSONResponse(answer)


def _declined(request: Request, protocol: Protocol, answer: Declined) -> Response:
    kind = problems.NEGOTIATION if protocol is Protocol.NEGOTIATION else problems.TRANSFER
    return problems.declined(kind, answer, request.state.ids)


def _ids(message: Json) -> Json:
    """The process ids that a message names, to name them in an error."""
    return {name: message[name] for name in ("providerPid", "consumerPid") if isinstance(message.get(name), str)}
