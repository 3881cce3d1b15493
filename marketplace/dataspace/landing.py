"""The door at which a provider elsewhere puts what it pushes: PUT, whole or in parts, for whoever holds the token.

Parts are those of RFC 9110 section 14.5; an empty PUT with `Content-Range: bytes */SIZE` asks what has come, answered
by 308 with `Range`, as `receivers` asks others.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Final

from fastapi import Request
from starlette.responses import Response

from marketplace.collection.upload import RequestBody
from marketplace.dataspace.addresses import base_of
from marketplace.dataspace.flowing import DataTokenRefused
from marketplace.dataspace.models import Arrival, Exchange
from marketplace.dataspace.receiving import awaited, keep, part_of, require_awaited, require_room
from marketplace.kernel.errors import DomainError, Invalid, shown
from marketplace.participants import connectors
from marketplace.plumbing.bodies import announced
from marketplace.plumbing.limits import Limits
from marketplace.plumbing.problems import problem
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.turns import Turns, in_own_thread

_RANGE: Final = re.compile(r"bytes (?:([0-9]{1,18})-([0-9]{1,18})|\*)/([0-9]{1,18})")
_AT_ONCE: Final = 256 << 10
_LOOK_SECONDS: Final = 0.2


class BadPart(Invalid):
    """The part does not follow what has come."""


@dataclass(frozen=True)
class Coming:
    """What a request brings: bytes [start, end) of `size`; None for what it does not say; a question brings nothing."""

    start: int
    end: int | None
    size: int | None
    question: bool = False


async def take(request: Request) -> Response:
    """Take a push; errors are problem documents, since this is no door of the protocol."""
    body, turns = RequestBody(request), Turns.UPLOADS.of(request.app)
    try:
        return await in_own_thread(turns, partial(_taken, request, body))
    except DomainError as error:  # where the connection broke off, what came is kept for the next part
        return problem(error)


def _taken(request: Request, body: RequestBody) -> Response:
    runtime: Runtime = request.app.state.runtime
    exchange, arrived = _awaited(request, runtime)
    coming = _coming(request)
    require_room(runtime, coming.size or coming.end or 0)
    if arrived:
        return Response(status_code=200)
    with part_of(runtime, exchange) as file:
        have = file.seek(0, 2)
        if coming.question:
            return _incomplete(have)
        if coming.start > have:
            raise BadPart("the part leaves a gap", expected=f"from byte {have} at most", got=str(coming.start))
        file.seek(coming.start)
        file.truncate()
        whole = _write(runtime, exchange, body, file, coming)
        file.flush()
        if not whole:
            return _incomplete(file.seek(0, 2))
        keep(runtime, exchange, file, request.headers.get("repr-digest"))
    return Response(status_code=201)


def _awaited(request: Request, runtime: Runtime) -> tuple[Exchange, bool]:
    """The transfer, and whether it is all here.  Raises DataTokenRefused, NotExpected."""
    limits, now = Limits.of(request), runtime.clock.now()
    exchange_id, participant = request.path_params["exchange"], request.path_params["participant"]
    endpoint = f"{base_of(runtime.settings, participant)}/inbox/{exchange_id}"
    token = request.headers.get("authorization", "").rpartition(" ")[2]
    try:
        with runtime.database.reading() as db:
            exchange = awaited(db, token, exchange_id, endpoint, runtime, now)
            arrived = db.get(Arrival, exchange_id) is not None
            sender = connectors.connector(db, exchange.connector_id).participant_id
            db.expunge_all()
    except DataTokenRefused as error:
        limits.refused(request, error)
        raise
    limits.known(sender)
    return exchange, arrived


def _coming(request: Request) -> Coming:
    text, length = request.headers.get("content-range"), announced(request)
    if text is None:
        return Coming(0, length, length)
    found = _RANGE.fullmatch(text)
    if found is None:
        raise BadPart("the Content-Range is none", expected="bytes FIRST-LAST/SIZE or bytes */SIZE", got=shown(text))
    size = int(found[3])
    if found[1] is None:
        return Coming(0, 0, size, question=True)
    start, end = int(found[1]), int(found[2]) + 1
    if not start < end <= size or length not in {None, end - start}:
        raise BadPart("the Content-Range does not fit", expected=f"{length} bytes", got=shown(text))
    return Coming(start, end, size)


def _write(runtime: Runtime, exchange: Exchange, body: RequestBody, file: BinaryIO, coming: Coming) -> bool:
    """Append what comes while it is awaited; whether it is all here now.  Raises NotExpected, BodyTooLarge, BadPart."""
    looked = time.monotonic()
    while chunk := body.read(_AT_ONCE):
        at = file.tell() + len(chunk)
        require_room(runtime, at)
        if coming.end is not None and at > coming.end:
            raise BadPart("more bytes came than were announced", expected=str(coming.end - coming.start))
        if time.monotonic() - looked > _LOOK_SECONDS:
            looked = time.monotonic()
            _look(runtime, exchange)
        file.write(chunk)
    _look(runtime, exchange)
    return file.tell() == coming.size or coming.size is None


def _look(runtime: Runtime, exchange: Exchange) -> None:
    with runtime.database.reading() as db:
        require_awaited(db, db.get_one(Exchange, exchange.id))


def _incomplete(have: int) -> Response:
    """What has come so far."""
    return Response(status_code=308, headers={"Range": f"bytes=0-{have - 1}"} if have else {})
