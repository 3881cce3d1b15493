"""Long polls: a reader is answered when what it holds has changed, or what it asks for is there, or its time is over.

What this process commits wakes the reader; what another process commits is looked for.  Who waits holds no turn,
thread, transaction or connection to the database, and is forgotten as soon as it hangs up; whoever finds too many
waiting, or whose server stops, is answered at once.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from http import HTTPStatus
from typing import Annotated, Any, Final, TypeVar

from anyio import CancelScope, CapacityLimiter
from fastapi import Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from marketplace.plumbing.bell import Bell
from marketplace.plumbing.sockets import line_of
from marketplace.plumbing.turns import Turns
from marketplace.plumbing.web import Call

LONGEST: Final = 20
LOOK_SECONDS: Final = 1.0
AT_ONCE: Final = 96
"""Readers that wait at once, each of whom looks once in LOOK_SECONDS, and"""
OF_ONE: Final = 4
"""those of one participant."""

T = TypeVar("T")


def _seconds(what: str) -> Any:
    return Query(ge=0, le=LONGEST, description=f"Seconds to wait for {what}.")


Wait = Annotated[int, _seconds("an answer other than the one that If-None-Match names; then 304")]
WaitUntilThere = Annotated[int, _seconds("what is not there yet; then it is refused as without")]


class _Reader(Bell):
    """One who waits in the server's loop, and is woken there by whatever thread rings."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self.gone = False
        self.over = False

    def ring(self, *told: Any, **more: Any) -> None:
        """Wake the reader."""
        super().ring(*told, **more)
        with suppress(RuntimeError):  # the loop has ended, and everybody who waited in it
            self._loop.call_soon_threadsafe(self._woken.set)

    def listen(self) -> None:
        """From now on a ring is news."""
        self._woken.clear()

    async def until_woken(self, seconds: float) -> None:
        """Until the next ring after `listen`, the reader's hanging up, or the end of its time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    def end(self) -> None:
        """The time of the reader is over before its end."""
        self.over = True
        self._woken.set()

    async def watch(self, request: Request) -> None:
        """Notice that the reader has hung up."""
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        self.end()


class Waiting:
    """Who waits in an application."""

    def __init__(self) -> None:
        self._of: Counter[str] = Counter()

    @classmethod
    def of(cls, request: Request) -> Waiting:
        """The readers of the application that a request reached."""
        state: Any = request.app.state
        kept: Waiting | None = getattr(state, "waiting", None)
        if kept is None:
            kept = state.waiting = cls()
        return kept

    @classmethod
    async def until_changed(
        cls,
        request: Request,
        call: Call,
        topic: str,
        look: Callable[[], Response],
        seconds: int,
        judge: Callable[[], object],
    ) -> Response:
        """The first answer of look that is not 304, or its last one when the time is over; the rest as for `until`."""
        return await cls.until(request, call, topic, look, seconds, judge, _is_another)

    @classmethod
    async def until(
        cls,
        request: Request,
        call: Call,
        topic: str,
        look: Callable[[], T],
        seconds: int,
        judge: Callable[[], object],
        ready: Callable[[T], bool],
    ) -> T:
        """The first that look finds and that is ready, or the last that it finds when the time is over.

        request: in a turn of `waits_for_changes`; topic: what rings when look may find something else; look: reads with
        the session of the call; judge: before each look of who may wait, raises where the caller may not read any more.
        """
        who, end, others = call.actor.participant, time.monotonic() + seconds, cls.of(request)._of
        if seconds == 0 or others[who] >= OF_ONE or others.total() >= AT_ONCE:
            return await run_in_threadpool(look)

        def look_anew() -> T:
            call.db.rollback()  # else it reads what was when it was authenticated, before anybody listened
            judge()
            return look()

        others[who] += 1
        reader = _Reader()
        watched = asyncio.ensure_future(reader.watch(request))
        line = line_of(request.scope)
        try:
            with (
                call.runtime.database.bell.listening(topic, reader),
                line.telling_of_stop(reader.end) if line is not None else nullcontext(),
            ):
                return await _waited(reader, request, call, look_anew, ready, end)
        finally:
            watched.cancel()
            others -= Counter((who,))  # which forgets who has none left


def _is_another(answer: Response) -> bool:
    return answer.status_code != HTTPStatus.NOT_MODIFIED


async def _waited(
    reader: _Reader, request: Request, call: Call, look: Callable[[], T], ready: Callable[[T], bool], end: float
) -> T:
    while True:
        reader.listen()
        found = await run_in_threadpool(look)
        left = end - time.monotonic()
        if ready(found) or left <= 0 or reader.over:
            return found
        await run_in_threadpool(call.db.rollback)
        async with _turn_given_back(Turns.LOOKS.of(request.app)):
            await reader.until_woken(min(left, LOOK_SECONDS))
        if reader.gone:
            return found


@asynccontextmanager
async def _turn_given_back(turns: CapacityLimiter) -> AsyncIterator[None]:
    """Leave a turn to others for the length of the block."""
    turns.release()
    try:
        yield
    finally:
        # Whoever took the turn gives it back once more, also when it is cancelled here.
        with CancelScope(shield=True):
            await turns.acquire()
