"""The protocol's HTTP binding: one base path for each participant hosted here, an application of its own.

It answers in the protocol's own words: typed errors, no problem documents, nothing of the framework's validation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final
from urllib.parse import quote

import anyio
from fastapi import FastAPI, Request
from sqlmodel import Session
from starlette.responses import JSONResponse, Response
from structlog import get_logger

from marketplace.dataspace import datasets, hearing, problems, queries
from marketplace.dataspace.addresses import base_of
from marketplace.dataspace.answering import FILTERS
from marketplace.dataspace.chosen import answering as chosen
from marketplace.dataspace.hearing import Declined, Talk
from marketplace.dataspace.messages import VERSION, BadMessage, check, read
from marketplace.dataspace.models import Exchange
from marketplace.dataspace.moving import acknowledgement
from marketplace.dataspace.sending import OnItsWay
from marketplace.dataspace.states import MOVES, Move, Protocol, read_move
from marketplace.kernel.actor import Role
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Conflict, DomainError, Forbidden, NotFound, Unavailable, shown
from marketplace.participants import queries as participants
from marketplace.participants.models import Participant
from marketplace.plumbing import bodies
from marketplace.plumbing.limits import Limits
from marketplace.plumbing.problems import Unauthenticated, domain_error_of
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.turns import Turns, in_own_thread
from marketplace.plumbing.web import Gate, record_raised

SPEAKS: Final = frozenset({Role.PROVIDER, Role.BUYER})
_LOOK_SECONDS: Final = 0.02

Answer = Coroutine[Any, Any, Response]
Handler = Callable[[Request], Answer]


class NotHosted(NotFound):
    """No such participant speaks the protocol here."""


class SomethingWentWrong(Unavailable):
    """Something went wrong on our side."""


def create(runtime: Runtime, gate: Gate) -> FastAPI:
    """The application to be mounted at `/dsp`."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.state.runtime, app.state.gate, app.state.answering = runtime, gate, chosen(runtime.settings)
    base = "/{participant}/" + VERSION

    def add(method: str, path: str, kind: str, handler: Handler) -> None:
        app.add_api_route(path, _typed(kind, handler), methods=[method], response_model=None)

    add("GET", "/{participant}/.well-known/dspace-version", problems.CATALOG, _version)
    for method in ("POST", "GET"):
        add(method, f"{base}/catalog/request", problems.CATALOG, _catalogue)
    add("GET", f"{base}/catalog/datasets/{{dataset}}", problems.CATALOG, _dataset)
    for protocol, place, kind, first in (
        (Protocol.NEGOTIATION, "negotiations", problems.NEGOTIATION, ("request", "offer")),
        (Protocol.TRANSFER, "transfers", problems.TRANSFER, ("request",)),
    ):
        for move in (MOVES[protocol][name] for name in first):
            add("POST", f"{base}/{place}/{move.path}", kind, partial(_open, move=move))
        add("GET", f"{base}/{place}/{{exchange}}", kind, partial(_read, protocol=protocol))
        add("POST", f"{base}/{place}/{{exchange}}/{{path:path}}", kind, partial(_move, protocol=protocol))
    if runtime.settings.dataspace_conformance:
        from marketplace.dataspace.kit import routes

        app.include_router(routes)
    return app


def hosted(db: Session, participant_id: str) -> Participant:
    """A participant that speaks the protocol here: provider or buyer, not suspended.  Raises NotHosted."""
    try:
        found = participants.participant(db, participant_id)
    except NotFound as error:
        raise NotHosted("no such participant is hosted here", got=shown(participant_id)) from error
    if found.suspended_at is not None or not SPEAKS & set(found.roles):
        raise NotHosted("no such participant is hosted here", got=shown(participant_id))
    return found


async def said_by(request: Request) -> tuple[Talk, Json]:
    """Who calls and what it says; the body is read only after the caller is known.  Raises Unauthenticated, …"""
    talk = await _talk(request)
    return talk, read(await bodies.taken(request, bodies.SMALL))


async def in_transaction(request: Request, work: Callable[[Session, Runtime], Any]) -> Any:
    """Do the work in one transaction, committed before the answer; wait while a message of ours is on its way.

    Whatever is refused to a known connector is recorded.  Raises what the work raises.
    """
    runtime: Runtime = request.app.state.runtime

    def once() -> Any:
        with runtime.database.transaction() as db:
            return work(db, runtime)

    end = time.monotonic() + runtime.settings.outgoing_seconds + 1
    while True:
        try:
            return await in_own_thread(Turns.TRANSACTIONS.of(request.app), once)
        except OnItsWay:
            if time.monotonic() > end:
                raise
            await anyio.sleep(_LOOK_SECONDS)


def _typed(kind: str, handler: Handler) -> Handler:
    async def answered(request: Request) -> Response:
        try:
            return await handler(request)
        except Exception as error:  # noqa: BLE001 - whatever it is, the protocol has one form of error
            meant = error if isinstance(error, DomainError) else domain_error_of(error)
            if meant is None:
                get_logger().error("unexpected", path=request.scope["route"].path, exc_info=error)
                meant = SomethingWentWrong("something went wrong on our side", action="send the message again")
            talk: Talk | None = getattr(request.state, "talk", None)
            if talk is not None and isinstance(meant, Forbidden | Conflict):
                await in_own_thread(
                    Turns.TRANSACTIONS.of(request.app), lambda: record_raised(request, talk.actor, meant)
                )
            return problems.typed(kind, meant, getattr(request.state, "ids", {}))

    return answered


async def _talk(request: Request) -> Talk:
    runtime: Runtime = request.app.state.runtime
    limits, now = Limits.of(request), runtime.clock.now()

    def known() -> Talk:
        with runtime.database.reading() as db:
            here = hosted(db, request.path_params["participant"])
            audience = base_of(runtime.settings, here.id)
            authorization = request.headers.get("authorization", "")
            connector = request.app.state.answering.identity.who(db, authorization, audience, now, runtime)
            return hearing.talk(db, connector, here)

    try:
        talk = await in_own_thread(Turns.TRANSACTIONS.of(request.app), known)
    except Unauthenticated as error:
        limits.refused(request, error)
        raise
    except NotHosted:
        limits.unknown(request)
        raise
    limits.known(talk.actor.participant)
    request.state.talk = talk
    return talk


async def _version(request: Request) -> Response:
    bodies.refuse_body(request)
    Limits.of(request).unknown(request)
    runtime: Runtime = request.app.state.runtime
    with runtime.database.reading() as db:
        here = hosted(db, request.path_params["participant"])
    entry = {"version": VERSION, "path": f"/{VERSION}", "binding": "HTTPS", "serviceId": here.id}
    return JSONResponse({"protocolVersions": [entry]})


async def _catalogue(request: Request) -> Response:
    """A page of the catalogue; a page after the first is asked for by its link, with or without the message."""
    if request.method == "GET":
        bodies.refuse_body(request)
        talk, wanted = await _talk(request), _filters([dict(request.query_params)])
    else:
        talk, message = await said_by(request)
        wanted = _filters(check(message, "CatalogRequestMessage").get("filter", []))
    cursor = request.query_params.get("cursor")
    runtime: Runtime = request.app.state.runtime
    with runtime.database.reading() as db:
        page = request.app.state.answering.datasets(db, talk.hosted, wanted, cursor, runtime.clock.now())
    base, headers = base_of(runtime.settings, talk.hosted.id), {}
    if page.next_cursor is not None:
        asked = "".join(f"&{name}={quote(value)}" for name, value in wanted.items())
        headers["Link"] = f'<{base}/catalog/request?cursor={page.next_cursor}{asked}>; rel="next"'
    return JSONResponse(datasets.catalogue(talk.hosted.id, base, page.datasets), headers=headers)


def _filters(said: list[Any] | Json) -> dict[str, str]:
    """What a catalogue is to be filtered by: objects whose members are `FILTERS` with texts, joined."""
    wanted: dict[str, str] = {}
    for one in said if isinstance(said, list) else [said]:
        members = dict(one) if isinstance(one, dict) else {"": ""}
        members.pop("cursor", None)
        if not all(name in FILTERS and isinstance(value, str) for name, value in members.items()):
            raise BadMessage("the filter is not one that is known here", expected=f"objects with {', '.join(FILTERS)}")
        wanted |= members
    return wanted


async def _dataset(request: Request) -> Response:
    bodies.refuse_body(request)
    talk = await _talk(request)
    runtime: Runtime = request.app.state.runtime
    with runtime.database.reading() as db:
        found = request.app.state.answering.dataset(
            db, talk.hosted, request.path_params["dataset"], runtime.clock.now()
        )
    return JSONResponse(datasets.alone(found, base_of(runtime.settings, talk.hosted.id)))


async def _read(request: Request, protocol: Protocol) -> Response:
    bodies.refuse_body(request)
    talk = await _talk(request)
    runtime: Runtime = request.app.state.runtime
    with runtime.database.reading() as db:
        asked = request.path_params["exchange"]
        found = queries.between(db, talk.hosted.id, talk.connector.id, protocol, asked)
    return JSONResponse(acknowledgement(found))


async def _open(request: Request, move: Move) -> Response:
    talk, message = await said_by(request)
    request.state.ids = _ids(message)

    def work(db: Session, runtime: Runtime) -> Exchange | Declined:
        answers, now = request.app.state.answering, runtime.clock.now()
        return hearing.open_by_peer(db, talk, move, message, answers, runtime, now)

    opened = await in_transaction(request, work)
    if isinstance(opened, Declined):
        kind = problems.NEGOTIATION if move.protocol is Protocol.NEGOTIATION else problems.TRANSFER
        return problems.declined(kind, opened, request.state.ids)
    return JSONResponse(acknowledgement(opened), status_code=201)


async def _move(request: Request, protocol: Protocol) -> Response:
    talk, message = await said_by(request)
    request.state.ids = _ids(message)
    move = read_move(protocol, request.path_params["path"], str(message.get("eventType", "")))
    if move is None:
        raise BadMessage("the protocol has no such message", action="see its HTTP binding")

    def work(db: Session, runtime: Runtime) -> Exchange:
        answers, now, asked = request.app.state.answering, runtime.clock.now(), request.path_params["exchange"]
        return hearing.hear(db, talk, asked, move, message, answers, runtime, now)

    return JSONResponse(acknowledgement(await in_transaction(request, work)))


def _ids(message: Json) -> Json:
    """The process ids that a message names, to name them in an error."""
    return {name: message[name] for name in ("providerPid", "consumerPid") if isinstance(message.get(name), str)}
