"""The edge of the streaming upload: the body as a blocking stream, and short transactions of the caller."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import anyio
from anyio import from_thread
from fastapi import Request
from sqlmodel import Session
from starlette.requests import ClientDisconnect

from marketplace.kernel.actor import Actor
from marketplace.kernel.errors import Conflict, Forbidden
from marketplace.plumbing.bodies import BodyBrokenOff
from marketplace.plumbing.problems import BadRequest
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.web import Gate, record_raised, require_may_change

PATIENCE_SECONDS = 60


class UploadStalled(BadRequest):
    """The upload stopped coming."""


class RequestBody:
    """A request's body, read from a worker thread piece by piece; the sender is slowed to the reader's pace."""

    def __init__(self, request: Request) -> None:
        self._chunks: AsyncIterator[bytes] = request.stream()
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end.  Raises UploadStalled, BodyBrokenOff."""
        while not self._rest:
            chunk = from_thread.run(self._next)
            if chunk is None:
                return b""
            self._rest = memoryview(chunk)
        taken, self._rest = self._rest[:size], self._rest[size:]
        return bytes(taken)

    async def _next(self) -> bytes | None:
        try:
            with anyio.fail_after(PATIENCE_SECONDS):
                return await anext(self._chunks, None)
        except TimeoutError as error:
            raise UploadStalled(f"no data for {PATIENCE_SECONDS} s", action="send the tar again") from error
        except ClientDisconnect as error:
            raise BodyBrokenOff("the connection ended before the body did", action="send it again") from error


@contextmanager
def acting(request: Request, actor: Actor | None = None) -> Iterator[tuple[Session, Actor]]:
    """A write transaction of the authenticated caller; a raised refusal is recorded in one of its own.

    After the commit `request.state.receipt` holds the receipt of its entries, if it wrote any.

    actor: the caller if it is known already: a proof of possession can be shown only once.
    """
    runtime: Runtime = request.app.state.runtime
    gate: Gate = request.app.state.gate
    if actor is None:
        with runtime.database.transaction() as db:
            actor = gate.authenticate(db, request, runtime.clock.now())
    try:
        require_may_change(actor)
        with runtime.database.transaction() as db:
            yield db, actor
            promised = gate.promise(db)
    except (Forbidden, Conflict) as error:
        record_raised(request, actor, error)
        raise
    if promised is not None:
        request.state.receipt = gate.receipt(promised)
