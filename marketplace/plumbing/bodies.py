"""Bodies of requests: who may send one, how large and how slow it may be, and where a large one is read.

One is taken only after the caller's headers were judged, so a stranger fills no memory.  Whatever reads JSON holds the
interpreter, and with it the loop that cuts stopped uses, and each value may become a finding: values are counted before
any is made.  A body up to `SMALL` is then short work; a larger one is for operations that need it, and checked in a
thread.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from typing import Any, Final, TypeVar

import anyio
from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from marketplace.kernel.errors import Invalid
from marketplace.plumbing.problems import BadRequest, BodyTooLarge
from marketplace.plumbing.strings import refuse_bad_text, refuse_other_encodings
from marketplace.plumbing.turns import Turns

F = TypeVar("F", bound=Callable[..., Any])

SMALL: Final = 64 << 10
# Evidence is the largest thing that a JSON body carries: 1 MiB, in base64 or with escaped characters.
LARGE: Final = 8 << 20
MOST_VALUES: Final = 4_096
MOST_VALUES_OF_LARGE: Final = 16_384  # 10,000 files of a withdrawn consent
PATIENCE_SECONDS: Final = 10
SLOWEST: Final = 16 << 10
"""Bytes a second that a sender must keep up once its patience is used up."""

_TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_MARKS = (b",", b"[", b"{")
_larger: dict[Callable[..., Any], int] = {}


class BodyNotTaken(BadRequest):
    """A request that only reads has no body."""


class BodyTooSlow(BadRequest):
    """The body of the request came too slowly."""


class BodyBrokenOff(BadRequest):
    """The connection ended before the body of the request did."""


class TooManyValues(Invalid):
    """The body of the request holds more values than any form has."""


def takes_body_of(size: int) -> Callable[[F], F]:
    """Let an operation take a larger body than others do."""

    def declare(operation: F) -> F:
        _larger[operation] = size
        return operation

    return declare


def largest_of(operation: Callable[..., Any]) -> int:
    """Bytes of the largest body that an operation takes."""
    return _larger.get(operation, SMALL)


def announced(request: Request) -> int | None:
    """Bytes of the body to come; None when the sender does not say how many."""
    if "transfer-encoding" in request.headers:
        return None
    length = request.headers.get("content-length", "0")
    return int(length) if length.isdecimal() and len(length) < 20 else None


def refuse_body(request: Request) -> None:
    """Leave the body of a reading request unread.  Raises BodyNotTaken if there is one."""
    if announced(request) != 0:
        raise BodyNotTaken(f"{request.method} takes no body", action="send the request without one")


def place_for(request: Request, largest: int) -> AbstractAsyncContextManager[Any]:
    """What a request that may bring a large body waits for, and holds as long as it keeps the body."""
    return Turns.LARGE_BODIES.of(request.app) if _limit(request, largest) > SMALL else nullcontext()


async def taken(request: Request, largest: int) -> bytes:
    """The whole body, checked, which FastAPI then finds ready.

    Raises BodyTooLarge before it would fill the memory, BodyTooSlow, BodyBrokenOff, NotUtf8, TooManyValues,
    NulCharacter, HalfCharacter.
    """
    limit = _limit(request, largest)
    if (announced(request) or 0) > limit:
        raise _too_large(limit)
    body = await _read(request, limit)
    if "json" in request.headers.get("content-type", "").lower():
        refuse_other_encodings(body)
    most = MOST_VALUES if largest == SMALL else MOST_VALUES_OF_LARGE
    if len(body) > SMALL:
        await run_in_threadpool(_check, body, most)
    else:
        _check(body, most)
    return body


def _limit(request: Request, largest: int) -> int:
    """What this request may bring of what its operation takes: what it announced to be small stays small."""
    expected = announced(request)
    return largest if expected is None or expected > SMALL else min(SMALL, largest)


def in_time(receive: Receive) -> Receive:
    """The same, but a sender that is slower than `SLOWEST` in the long run is refused with BodyTooSlow."""
    waited, size = 0.0, 0

    async def timed() -> Message:
        nonlocal waited, size
        begun = time.monotonic()
        with _patience(PATIENCE_SECONDS + size / SLOWEST - waited):
            message = await receive()
        waited += time.monotonic() - begun
        size += len(message.get("body", b""))
        return message

    return timed


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    try:
        with anyio.fail_after(max(seconds, 0)):
            yield
    except TimeoutError as error:
        raise BodyTooSlow(
            "the body of the request came too slowly",
            expected=f"{SLOWEST} bytes a second after {PATIENCE_SECONDS} s",
            action="send the request again with the same Idempotency-Key",
        ) from error


async def _read(request: Request, largest: int) -> bytes:
    size, receive = 0, in_time(request.receive)

    async def counted() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > largest:
            raise _too_large(largest)
        return message

    request._receive = counted  # Starlette has no public place for a limit
    try:
        return await request.body()
    except ClientDisconnect as error:
        raise BodyBrokenOff(
            "the connection ended before the body did",
            action="send the request again with the same Idempotency-Key",
        ) from error


def _too_large(largest: int) -> BodyTooLarge:
    return BodyTooLarge(
        "the body of the request is too large",
        expected=f"at most {largest} bytes",
        got="more",
        action="send files with PUT /v1/versions/{version_id}/files/{batch}",
    )


def _check(body: bytes, most: int) -> None:
    if len(body) > 2 * most and _holds_more_values(body, most):
        raise TooManyValues("the body holds too many values", expected=f"at most {most}", got="more")
    refuse_bad_text(body)


def _holds_more_values(body: bytes, most: int) -> bool:
    """Count values without making them; between two texts another thread may run."""
    if body.count(b'"') // 2 + _marks(body, 0, len(body)) <= most:
        return False  # not even with the marks inside of texts
    values, at = 0, 0
    for text in _TEXT.finditer(body):
        values += 1 + _marks(body, at, text.start())
        if values > most:
            return True
        at = text.end()
    return values + _marks(body, at, len(body)) > most


def _marks(body: bytes, start: int, end: int) -> int:
    return sum(body.count(mark, start, end) for mark in _MARKS)
