"""Long polls: a reader who holds an answer already is answered again when it has changed, or when its time is over.

What this process commits wakes the reader; what another process commits is looked for.  Nobody holds a transaction or
a connection while it waits, and whoever finds too many waiting is answered at once.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any, Final

import anyio
from anyio import CapacityLimiter
from fastapi import Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from marketplace.plumbing.web import Call

LONGEST: Final = 20
LOOK_SECONDS: Final = 1.0
AT_ONCE: Final = 24
"""Readers that wait at once, and"""
OF_ONE: Final = 4
"""those of one participant."""

Wait = Annotated[
    int,
    Query(
        ge=0,
        le=LONGEST,
        description="Seconds to wait for an answer other than the one that If-None-Match names; then 304.",
    ),
]


class Waiting:
    """Who waits in an application."""

    def __init__(self) -> None:
        self._threads = CapacityLimiter(AT_ONCE)
        self._of: Counter[str] = Counter()

    @classmethod
    def of(cls, request: Request) -> Waiting:
        """The readers of the application that a request reached."""
        state: Any = request.app.state
        kept: Waiting | None = getattr(state, "waiting", None)
        if kept is None:
            kept = state.waiting = cls()
        return kept

    async def until_changed(
        self, call: Call, topic: str, look: Callable[[], Response], seconds: int, judge: Callable[[], object]
    ) -> Response:
        """The first answer of look that is not 304, or its last one when the time is over.

        topic: what rings when the answer may have changed; look: reads with the session of the call; judge: before each
        look after the first, raises where the caller may not read any more.
        """
        who, end = call.actor.participant, time.monotonic() + seconds
        if seconds == 0 or self._of[who] >= OF_ONE or self._of.total() >= AT_ONCE:
            return await run_in_threadpool(look)
        self._of[who] += 1
        try:
            return await self._waited(call, topic, look, end, judge)
        finally:
            self._of[who] -= 1

    async def _waited(
        self, call: Call, topic: str, look: Callable[[], Response], end: float, judge: Callable[[], object]
    ) -> Response:
        with call.runtime.database.bell.listening(topic) as bell:
            while True:
                heard = bell.rings
                answer = await run_in_threadpool(look)
                left = end - time.monotonic()
                if answer.status_code != 304 or left <= 0:
                    return answer
                await run_in_threadpool(call.db.rollback)
                await anyio.to_thread.run_sync(bell.wait, heard, min(left, LOOK_SECONDS), limiter=self._threads)
                await run_in_threadpool(judge)
