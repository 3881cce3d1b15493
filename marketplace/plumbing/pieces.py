"""A long answer written piece by piece while one read transaction shows one state of the database.

Whatever can refuse does so before the first byte; the answer only reads, so it has no receipt.  After the first byte
nothing can be said but by cutting: an answer that stops early is left without its end, and its connection is cut, so
that no client takes a part for the whole.  That happens when the client takes nothing for `stream_idle_seconds`, when
the whole takes longer than `answer_seconds`, and when a read fails.  The time is bounded for the sake of the database:
SQLite cannot empty its write-ahead log, nor PostgreSQL clean up rows, past the oldest state that is still read.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final

from anyio import CancelScope, create_task_group, move_on_after
from anyio.lowlevel import checkpoint
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from structlog import get_logger

from marketplace.kernel.errors import Unavailable
from marketplace.plumbing.limits import place_of
from marketplace.plumbing.sockets import PIECE, line_of
from marketplace.plumbing.turns import Turns, in_own_thread
from marketplace.plumbing.web import Call, lend
from marketplace.settings import Settings

AT_ONCE: Final = Turns.LONG_ANSWERS.at_once
"""Long answers of this process; with the turns of `turns` they stay below the connections of `plumbing.db`.  And"""
OF_ONE: Final = AT_ONCE // 2
"""those of one participant, or of one network of callers without a name."""


class TooManyLongAnswers(Unavailable):
    """Others read long answers."""


class Places:
    """Who has a long answer running."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: Counter[str] = Counter()

    @property
    def free(self) -> int:
        """How many more may begin."""
        return AT_ONCE - self._of.total()

    def take(self, who: str) -> None:
        """Give somebody a place.  Raises TooManyLongAnswers."""
        with self._lock:
            if self._of[who] < OF_ONE and self.free > 0:
                self._of[who] += 1
                return
        raise TooManyLongAnswers(
            "others, or you yourself, read long answers of this service",
            expected=f"at most {AT_ONCE} at once, {OF_ONE} of one caller",
            action="ask again in a few seconds, or for shorter pages",
        )

    def give_back(self, who: str) -> None:
        """One of somebody's answers is over."""
        with self._lock:
            self._of[who] -= 1
            self._of += Counter()  # keeps no names of those who have none running


PLACES: Final = Places()


class PiecesResponse(Response):
    """An answer whose body is made while it is sent; it closes the session whatever happens.

    While it waits for the client it holds no thread, but a connection to the database.
    """

    def __init__(self, pieces: Iterator[bytes], db: Session, media_type: str, settings: Settings, who: str) -> None:
        """Read the first piece.

        who: whose place it takes.  Raises TooManyLongAnswers and what reading raises; then the session is the caller's
        still.
        """
        PLACES.take(who)
        try:
            self._first: bytes | None = next(pieces, b"")
        except BaseException:
            PLACES.give_back(who)
            raise
        super().__init__(media_type=media_type)
        del self.headers["content-length"]
        self._pieces, self._db, self._settings, self._who = pieces, db, settings, who

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        line, done = line_of(scope), False
        turns = Turns.LONG_ANSWERS.of(scope["app"])
        try:
            async with create_task_group() as group:
                group.start_soon(_until_gone, receive, group.cancel_scope)
                with move_on_after(self._settings.answer_seconds):
                    done = await self._send(send, turns)
                group.cancel_scope.cancel()
        finally:
            if line is not None and not done:
                line.cut()
            with CancelScope(shield=True):
                await in_own_thread(turns, self._close)

    async def _send(self, send: Send, turns: object) -> bool:
        """Send piece after piece; whether the end was sent."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        piece, self._first = self._first, None
        while piece is not None:
            with move_on_after(self._settings.stream_idle_seconds) as limit:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            if limit.cancelled_caught:
                return False
            await checkpoint()  # sending need not wait, so a lost connection or the end of the time is noticed here
            try:
                piece = await in_own_thread(turns, partial(next, self._pieces, None))  # type: ignore[arg-type]
            except Exception as error:  # noqa: BLE001 - whatever it is, it can only be told by cutting
                get_logger().error("long answer broken", error=type(error).__name__, exc_info=error)
                return False
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return True

    def _close(self) -> None:
        try:
            self._db.close()
        finally:
            PLACES.give_back(self._who)


def written(request: Request, call: Call, pieces: Iterator[bytes], media_type: str, *, long: bool) -> Response:
    """The answer of a reading route that these pieces make: at once, or where it is long while it is sent.

    Raises TooManyLongAnswers and what reading raises.
    """
    if not long:
        return Response(b"".join(pieces), media_type=media_type)
    who = call.actor.participant if call.actor.roles else place_of(request)
    response = PiecesResponse(pieces, call.db, media_type, call.runtime.settings, who)
    lend(request)
    return response


def in_pieces(texts: Iterable[str], size: int = PIECE) -> Iterator[bytes]:
    """The texts as UTF-8, joined to pieces of at least this size; the last one may be shorter."""
    waiting: list[bytes] = []
    length = 0
    for one in texts:
        waiting.append(one.encode())
        length += len(waiting[-1])
        if length >= size:
            yield b"".join(waiting)
            waiting, length = [], 0
    if waiting:
        yield b"".join(waiting)


async def _until_gone(receive: Receive, scope: CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
