"""The edge: one transaction per request, committed before the first byte of the answer; idempotent POSTs.

Every route of ours is a `TransactionRoute`.  A route asks for `Verb` (it changes something: Idempotency-Key required on
POST; roles that only read are refused), `LoggedVerb` (open to them too) or `View` (it only reads).  A refusal that is
returned commits with its entry; one that is raised rolls back, and if the caller is known it is recorded in a
transaction of its own; what a known caller cannot see is counted by participant.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from sqlmodel import Session

from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.canonical import sha256_hex
from marketplace.kernel.errors import Conflict, DomainError, Forbidden, NotFound
from marketplace.plumbing import bodies, idempotency
from marketplace.plumbing.limits import Limits
from marketplace.plumbing.problems import BadRequest
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.turns import turns_of

# Names the entries that the answer left in the log; `audit.receipts` says how.
RECEIPT = "Receipt"

PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string", "examples": ["/problems/wrong-state"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "expected": {"type": "string"},
        "got": {"type": "string"},
        "action": {"type": "string"},
    },
}


class ReadOnlyRole(Forbidden):
    """This role reads and changes nothing."""


class Gate(Protocol):
    """What the edge needs from upper rooms; `main` puts it in."""

    def judge_headers(self, request: Request, now: datetime) -> None:
        """Whether a body is worth reading, by what the headers alone prove.  Raises Unauthenticated, RateLimited."""
        ...

    def authenticate(self, db: Session, request: Request, now: datetime) -> Actor:
        """Who calls.  Raises Unauthenticated, RateLimited."""
        ...

    def recognise(self, db: Session, request: Request, now: datetime) -> tuple[Actor, Callable[[Session], None]]:
        """Who calls, by reading only, and what spends its proof in the transaction that acts.  Raises as above."""
        ...

    def record_refusal(self, db: Session, actor: Actor, route: str, error: DomainError, now: datetime) -> None:
        """Write the entry of a raised refusal."""
        ...

    def promise(self, db: Session) -> str | None:
        """What a receipt would say of the entries of this transaction; None without entries."""
        ...

    def receipt(self, promised: str) -> str:
        """The signed promise; asked for only after the commit."""
        ...


@dataclass
class Call:
    """One request's transaction: the session, who asks, the moment, the instance."""

    db: Session
    actor: Actor
    now: datetime
    runtime: Runtime


@dataclass
class _Edge:
    """Per-request state of TransactionRoute."""

    db: Session
    body_hash: str
    actor: Actor | None = None
    key: idempotency.Key | None = None
    lent: bool = False
    replay: Response | None = field(default=None)


class _Replay(Exception):
    """Leaves the handler early with the first answer."""


class TransactionRoute(APIRoute):
    """A route whose handler and answer share one transaction."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        largest, public = bodies.largest_of(self.endpoint), not _asks_who(self.dependant)
        turns = turns_of(self.endpoint)

        async def in_turn(request: Request) -> Response:
            await _judge_before_body(request, public=public)
            async with bodies.place_for(request, largest):
                # The body comes before: a slow sender must hold neither a turn nor a transaction.
                body_hash = sha256_hex(await bodies.taken(request, largest))
                async with turns.of(request.app):
                    return await in_transaction(request, body_hash)

        async def in_transaction(request: Request, body_hash: str) -> Response:
            runtime: Runtime = request.app.state.runtime
            write = request.method not in {"GET", "HEAD"}
            edge = _Edge(db=runtime.database.session(write=write), body_hash=body_hash)
            request.state.edge = edge
            try:
                response = await handle(request)
                if not edge.lent:
                    await _commit(request, edge, response)
            except _Replay:
                assert edge.replay is not None
                return edge.replay
            except NotFound as error:
                # Most objects of others look like none at all: whoever tries ids leaves a number, not an entry each.
                if edge.actor is not None:
                    runtime.refusals.add(error.slug, runtime.clock.now(), edge.actor.participant)
                raise
            except (Forbidden, Conflict) as error:
                await run_in_threadpool(_record_raised, request, edge, error)
                raise
            finally:
                if not edge.lent:
                    await run_in_threadpool(edge.db.close)
            return response

        return in_turn


async def _commit(request: Request, edge: _Edge, response: Response) -> None:
    runtime: Runtime = request.app.state.runtime
    gate: Gate = request.app.state.gate
    promised = gate.promise(edge.db)
    if edge.key is not None and response.status_code < 500:
        secret = runtime.pseudonym_secret
        idempotency.keep(edge.db, edge.key, secret, response, promised, runtime.clock.now())
    await run_in_threadpool(edge.db.commit)
    if promised is not None:
        response.headers[RECEIPT] = gate.receipt(promised)


def lend(request: Request) -> None:
    """Leave the transaction of a reading route to its answer, which ends it; the last thing that the route does."""
    edge: _Edge = request.state.edge
    edge.lent = True


async def _judge_before_body(request: Request, *, public: bool) -> None:
    """Let nobody send a body whom the headers do not allow it; a GET has none."""
    if request.method in {"GET", "HEAD"}:
        bodies.refuse_body(request)
    elif bodies.announced(request) != 0:
        await run_in_threadpool(_judge_headers, request, public=public)
        request.state.counted = True


def _judge_headers(request: Request, *, public: bool) -> None:
    if public:
        Limits.of(request).unknown(request)
    else:
        gate: Gate = request.app.state.gate
        gate.judge_headers(request, request.app.state.runtime.clock.now())


def was_counted(request: Request) -> bool:
    """Whether the request was counted before its body was read."""
    return bool(getattr(request.state, "counted", False))


def _asks_who(dependant: Dependant) -> bool:
    """Whether a route wants to know its caller."""
    return dependant.call in {_view, _verb} or any(map(_asks_who, dependant.dependencies))


def _record_raised(request: Request, edge: _Edge, error: DomainError) -> None:
    edge.db.rollback()
    if edge.actor is not None:
        record_raised(request, edge.actor, error)


def record_raised(request: Request, actor: Actor, error: DomainError) -> None:
    """Record a raised refusal in a transaction of its own; its receipt goes out with the problem document."""
    runtime: Runtime = request.app.state.runtime
    gate: Gate = request.app.state.gate
    with runtime.database.transaction() as db:
        route = f"{request.method} {request.scope['route'].path}"
        gate.record_refusal(db, actor, route, error, runtime.clock.now())
        promised = gate.promise(db)
    if promised is not None:
        request.state.receipt = gate.receipt(promised)


def _view(request: Request) -> Call:
    """The authenticated caller of a reading route."""
    edge: _Edge = request.state.edge
    runtime: Runtime = request.app.state.runtime
    gate: Gate = request.app.state.gate
    now = runtime.clock.now()
    edge.actor = gate.authenticate(edge.db, request, now)
    return Call(edge.db, edge.actor, now, runtime)


def _verb(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="Your own id of this request: the same key and body replay the first answer.",
            min_length=8,
            max_length=128,
        ),
    ] = None,
) -> Call:
    """The authenticated caller of a changing route; a known Idempotency-Key replays the first answer."""
    call = _view(request)
    if request.method != "POST":
        return call
    if idempotency_key is None:
        raise BadRequest(
            "Idempotency-Key header is missing", expected="a key of 8 to 128 characters", action="send one per intent"
        )
    edge: _Edge = request.state.edge
    route = request.scope["route"].path
    edge.key = idempotency.Key(call.actor.participant, f"{request.url.path}|{route}", idempotency_key, edge.body_hash)
    gate: Gate = request.app.state.gate
    edge.replay = idempotency.replay(call.db, edge.key, call.runtime.pseudonym_secret, gate.receipt)
    if edge.replay is not None:
        raise _Replay
    return call


def _changing(call: Annotated[Call, Depends(_verb)]) -> Call:
    require_may_change(call.actor)
    return call


def require_may_change(actor: Actor) -> None:
    """Refuse a caller whose role only reads, whatever it asks for.  Raises ReadOnlyRole."""
    if actor.has(Role.AUDITOR):
        raise ReadOnlyRole("the role auditor reads and changes nothing", action="ask a participant of the market to")


View = Annotated[Call, Depends(_view)]
Verb = Annotated[Call, Depends(_changing)]
# For what changes nothing but the log and the caller's own keys and persons: open to roles that only read.
LoggedVerb = Annotated[Call, Depends(_verb)]


def router(tag: str, prefix: str = "/v1") -> APIRouter:
    """A router of transaction routes; every error it may answer is declared as a problem document."""
    declared: dict[int | str, dict[str, Any]] = {
        status: {"description": title, "content": {"application/problem+json": {"schema": PROBLEM_SCHEMA}}}
        for status, title in {
            400: "The request lacks something at the HTTP level",
            401: "The caller did not prove who it is",
            403: "The caller may not do this",
            404: "No such thing, or not visible to the caller",
            409: "The present state does not allow this",
            413: "The body of the request is larger than this service accepts",
            422: "The request is not well formed",
            429: "Too many requests in a short time",
            503: "A part that is needed does not answer",
            507: "There is no room to record what was asked, so it was not done",
        }.items()
    }
    return APIRouter(prefix=prefix, tags=[tag], route_class=TransactionRoute, responses=declared)


def public_database(request: Request) -> Call:
    """For routes that anyone may read: no caller, the anonymous actor without roles."""
    edge: _Edge = request.state.edge
    runtime: Runtime = request.app.state.runtime
    if not was_counted(request):
        Limits.of(request).unknown(request)
    return Call(edge.db, Actor("public", frozenset()), runtime.clock.now(), runtime)


PublicView = Annotated[Call, Depends(public_database)]


def _anyone(request: Request) -> Call:
    """For routes that anyone may read and that show a caller more who says who it is."""
    return _view(request) if "authorization" in request.headers else public_database(request)


OpenView = Annotated[Call, Depends(_anyone)]
