"""What every door of the protocol has in common: who calls whom, one transaction, typed errors."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

import anyio
from fastapi import Request
from sqlmodel import Session
from starlette.responses import Response
from structlog import get_logger

from marketplace.dataspace import hearing, problems
from marketplace.dataspace.addresses import base_of
from marketplace.dataspace.hearing import Talk
from marketplace.dataspace.messages import read
from marketplace.dataspace.sending import OnItsWay
from marketplace.kernel.actor import Role
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Conflict, DomainError, Forbidden, NotFound, Unavailable, shown
from marketplace.participants import queries as participants
from marketplace.participants.queries import Party
from marketplace.plumbing import bodies
from marketplace.plumbing.limits import Limits
from marketplace.plumbing.problems import Unauthenticated, domain_error_of
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.turns import Turns, in_own_thread
from marketplace.plumbing.web import record_raised

SPEAKS: Final = frozenset({Role.PROVIDER, Role.BUYER})
SHOWS: Final = SPEAKS | {Role.EXCHANGE_OPERATOR}
_LOOK_SECONDS: Final = 0.02

Answer = Coroutine[Any, Any, Response]
Handler = Callable[[Request], Answer]


class NotHosted(NotFound):
    """No such participant speaks the protocol here."""


class SomethingWentWrong(Unavailable):
    """Something went wrong on our side."""


def hosted(db: Session, participant_id: str) -> Party:
    """A participant with a catalogue here: provider, buyer or exchange, not suspended.  Raises NotHosted."""
    try:
        found = participants.party(db, participant_id)
    except NotFound as error:
        raise NotHosted("no such participant is hosted here", got=shown(participant_id)) from error
    if found.suspended_at is not None or not SHOWS & set(found.roles):
        raise NotHosted("no such participant is hosted here", got=shown(participant_id))
    return found


def require_speaking(found: Party) -> None:
    """Raises NotHosted for who makes no contracts: an exchange has a catalogue of catalogues and nothing else."""
    if not SPEAKS & set(found.roles):
        raise NotHosted("no contracts are made with this participant", got=found.id)


async def said_by(request: Request, *, acts: bool) -> tuple[Talk, Json]:
    """Who calls and what it says; the body is read only after the caller is known.  Raises Unauthenticated, …

    acts: `in_transaction` follows, which spends the caller's proof with what it does.
    """
    talk = await known_talk(request, acts=acts)
    return talk, read(await bodies.taken(request, bodies.SMALL))


async def in_transaction(request: Request, work: Callable[[Session, Runtime], Any]) -> Any:
    """Do the work in one transaction, committed before the answer; wait while a message of ours is on its way.

    Whatever is refused to a known connector is recorded.  Raises what the work raises.
    """
    runtime: Runtime = request.app.state.runtime
    spend: Callable[[Session], None] | None = getattr(request.state, "spend", None)

    def once() -> Any:
        with runtime.database.transaction() as db:
            if spend is not None:
                spend(db)
            return work(db, runtime)

    end = time.monotonic() + runtime.settings.outgoing_seconds + 1
    while True:
        try:
            return await in_own_thread(Turns.TRANSACTIONS.of(request.app), once)
        except Unauthenticated as error:
            Limits.of(request).refused(request, error)
            raise
        except OnItsWay:
            if time.monotonic() > end:
                raise
            await anyio.sleep(_LOOK_SECONDS)


def typed_answers(kind: str, handler: Handler) -> Handler:
    """The same, but whatever is raised is answered as the protocol's error of that kind, and recorded if it must be."""

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


async def known_talk(request: Request, *, acts: bool = False) -> Talk:
    """Who calls, by the identity port, and for whom.  Raises Unauthenticated, NotHosted, RateLimited.

    acts: the proof is spent later, in the transaction that acts; a refused one is rolled back and had no effect.
    """
    runtime: Runtime = request.app.state.runtime
    limits, now = Limits.of(request), runtime.clock.now()

    def known() -> Talk:
        with runtime.database.reading() as db:
            here = hosted(db, request.path_params["participant"])
            audience = base_of(runtime.settings, here.id)
            authorization = request.headers.get("authorization", "")
            caller = request.app.state.answering.identity.who(db, authorization, audience, now, runtime)
            talk = hearing.talk(db, caller.connector, here)
        if acts:
            request.state.spend = caller.spend
        else:
            with runtime.database.transaction() as own:
                caller.spend(own)
        return talk

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
