"""The door of the data itself: bytes of an open transfer for whoever holds its token, with Range and digests.

What is asked for is decided, logged and counted by the rooms of usage and transfer as every other use; all answers of
one transfer are one use.
"""

from __future__ import annotations

from functools import partial

from fastapi import Request
from starlette.responses import Response

from marketplace.dataspace.addresses import base_of
from marketplace.dataspace.flowing import DataTokenRefused, Flowing, opened_by
from marketplace.kernel.errors import Conflict, DomainError, Forbidden
from marketplace.plumbing import bodies
from marketplace.plumbing.limits import Limits
from marketplace.plumbing.problems import problem
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.turns import Turns, in_own_thread
from marketplace.plumbing.web import record_raised
from marketplace.transfer.opening import Download
from marketplace.transfer.routes import answer_download
from marketplace.usage.rules import ClockBehind


async def download(request: Request) -> Response:
    """The files of the agreement as one tar; errors are problem documents, since this is no door of the protocol."""
    try:
        bodies.refuse_body(request)
        return await in_own_thread(Turns.DOWNLOADS.of(request.app), partial(_answered, request))
    except DomainError as error:
        return problem(error)


def _answered(request: Request) -> Response:
    flowing = _opened(request)
    headers, exchange = request.headers, flowing.exchange
    asked = Download(
        exchange.agreement_id, flowing.use, None, headers.get("range"), headers.get("if-range"), exchange.id
    )
    try:
        return answer_download(request, request.app.state.runtime, flowing.actor, asked)
    except (Forbidden, Conflict, ClockBehind) as error:
        record_raised(request, flowing.actor, error)
        raise


def _opened(request: Request) -> Flowing:
    runtime: Runtime = request.app.state.runtime
    limits, now = Limits.of(request), runtime.clock.now()
    exchange_id, participant = request.path_params["exchange"], request.path_params["participant"]
    endpoint = f"{base_of(runtime.settings, participant)}/data/{exchange_id}"
    # Some clients send the token alone, others as Bearer.
    token = request.headers.get("authorization", "").rpartition(" ")[2]
    try:
        with runtime.database.reading() as db:
            flowing = opened_by(db, token, exchange_id, endpoint, runtime, now)
    except DataTokenRefused as error:
        limits.refused(request, error)
        raise
    limits.known(flowing.actor.participant)
    return flowing
