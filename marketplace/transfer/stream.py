"""Sending an opened transfer: window by window, each logged and committed before its bytes leave (threats T22, T23)."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from functools import partial

from anyio import CancelScope, CapacityLimiter, create_task_group, move_on_after
from anyio import sleep as pause
from anyio.lowlevel import checkpoint
from sqlmodel import Session
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from structlog import get_logger

from marketplace.kernel.actor import Actor
from marketplace.kernel.errors import DomainError
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.sockets import PIECE, Line, line_of
from marketplace.plumbing.storage import ObjectDamaged
from marketplace.plumbing.turns import Turns, in_own_thread
from marketplace.transfer import rules, service
from marketplace.transfer.opening import Opened
from marketplace.transfer.watch import Watch

_LOOK_SECONDS = 0.02


class WindowSource:
    """The windows of one leg.  Between two windows it holds no database connection.

    opened: the leg; largest: bytes of its largest window; outcome: how the leg ends as things stand, `broken` until
    the last window was handed out.
    """

    def __init__(self, runtime: Runtime, actor: Actor, opened: Opened) -> None:
        self._runtime = runtime
        self._actor = actor
        self.opened = opened
        self.largest = runtime.settings.window_kib * 1024
        self._chunks = self._read()
        self._buffer = b""
        self._hash = hashlib.sha256()
        self._granted = 0
        self._outcome = rules.BROKEN
        self._stopped: str | None = None

    @property
    def outcome(self) -> str:
        return self._stopped or self._outcome

    def stop(self, reason: str) -> None:
        """Nothing more is sent, for this reason; the first one counts."""
        self._stopped = self._stopped or reason

    def next(self, size: int | None = None) -> bytes | None:
        """The bytes of the next window, already logged; None at the end, or when the use was stopped.

        size: bytes of the window, None = the largest.
        """
        if self._stopped is not None:
            return None
        if self._granted == self.opened.span.length:
            self._outcome = rules.COMPLETE
            return None
        try:
            window = self._take(min(size or self.largest, self.largest))
        except DomainError as error:
            # The rest of the client's answer is missing, so it sees a broken transfer, never wrong bytes.
            get_logger().error("transfer damaged", transfer=self.opened.transfer, error=error.slug)
            self._outcome = rules.DAMAGED
            return None
        reason = self._runtime.soundness.reason
        if reason is None:
            reason = self._runtime.database.grouped(partial(self._grant, length=len(window)))
        if reason is not None:
            self.stop(reason)
            return None
        self._granted += len(window)
        return window

    def close(self) -> None:
        """Settle the leg; asking again changes nothing."""
        self._runtime.database.grouped(self._close)

    def _close(self, db: Session) -> None:
        now = self._runtime.clock.now()
        service.close(db, self._actor, self.opened.transfer, self.opened.leg, self.outcome, now)

    def _take(self, size: int) -> bytes:
        """The next window's bytes.  Raises ObjectDamaged."""
        left = self.opened.span.length - self._granted
        wanted = min(size, left)
        parts, have = [self._buffer], len(self._buffer)
        while have < wanted:
            chunk = next(self._chunks, b"")
            if not chunk:
                raise ObjectDamaged("the stored files are shorter than the delivery", expected=f"{left} more bytes")
            parts.append(chunk)
            have += len(chunk)
        everything = b"".join(parts)
        window, self._buffer = everything[:wanted], everything[wanted:]
        self._hash.update(window)
        if wanted == left:
            self._check_whole()
        return window

    def _check_whole(self) -> None:
        opened = self.opened
        if opened.span.length == opened.whole.body.size and self._hash.hexdigest() != opened.whole.sha256:
            raise ObjectDamaged("the delivery no longer has its hash", expected=opened.whole.sha256)

    def _grant(self, db: Session, *, length: int) -> str | None:
        settings = self._runtime.settings
        return service.grant_window(
            db,
            self._actor,
            self.opened.transfer,
            self.opened.leg,
            length,
            self._hash.hexdigest(),
            self._runtime.clock.now(),
            lease_seconds=settings.transfer_lease_seconds,
            skew_seconds=settings.clock_skew_seconds,
        )

    def _read(self) -> Iterator[bytes]:
        span = self.opened.span
        return self.opened.whole.body.read(self._runtime.store, span.start, span.end)


class WindowResponse(Response):
    """An answer whose body comes from a WindowSource and which closes it whatever happens.

    A leg that does not end `complete` is left without its last message and its connection is cut: the client sees
    fewer bytes than Content-Length.  While it waits for the client it holds no thread.
    """

    def __init__(
        self,
        source: WindowSource,
        *,
        status_code: int,
        media_type: str,
        headers: dict[str, str],
        idle_seconds: int,
    ) -> None:
        super().__init__(status_code=status_code, media_type=media_type, headers=headers)
        self._source = source
        self._idle_seconds = idle_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        turns = Turns.DOWNLOADS.of(scope["app"])
        line = line_of(scope)
        try:
            async with create_task_group() as group:
                stop = partial(self._stop, line, group.cancel_scope)
                with Watch.of(scope["app"]).over(self._source.opened.ground, stop):
                    group.start_soon(_until_gone, receive, group.cancel_scope)
                    await self._send_windows(send, turns, line)
                group.cancel_scope.cancel()
        finally:
            if line is not None and self._source.outcome != rules.COMPLETE:
                line.cut()
            with CancelScope(shield=True):
                await in_own_thread(turns, self._source.close)

    def _stop(self, line: Line | None, scope: CancelScope, reason: str) -> None:
        self._source.stop(reason)
        if line is not None:
            line.cut()
        scope.cancel()

    async def _send_windows(self, send: Send, turns: CapacityLimiter, line: Line | None) -> None:
        source, size, began = self._source, 0, time.monotonic()
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        while True:
            waiting = line.waiting() if line is not None else 0
            if waiting is None:
                return
            size = rules.window(source.largest, waiting, size, time.monotonic() - began)
            window = await in_own_thread(turns, partial(source.next, size))
            if window is None:
                break
            size, began = len(window), time.monotonic()
            if not await self._send_pieces(send, window):
                source.stop(rules.IDLE)
                return
        if source.outcome == rules.COMPLETE:
            await self._until_taken(line)
        if source.outcome == rules.COMPLETE:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_pieces(self, send: Send, window: bytes) -> bool:
        """Send a window piece by piece, so that a stop bites inside it; False when the client takes nothing."""
        for at in range(0, len(window), PIECE):
            with move_on_after(self._idle_seconds) as limit:
                await send({"type": "http.response.body", "body": window[at : at + PIECE], "more_body": True})
            if limit.cancelled_caught:
                return False
            await checkpoint()  # sending need not wait, so a stop or a lost connection would not be noticed
        return True

    async def _until_taken(self, line: Line | None) -> None:
        """Wait until all but a piece is with the client, or the client is gone: what still lies here can be stopped."""
        waiting = line.waiting() if line is not None else 0
        last, since = waiting, time.monotonic()
        while line is not None and waiting is not None and waiting > PIECE:
            if waiting != last:
                last, since = waiting, time.monotonic()
            elif time.monotonic() - since > self._idle_seconds:
                self._source.stop(rules.IDLE)
                break
            await pause(_LOOK_SECONDS)
            waiting = line.waiting()


async def _until_gone(receive: Receive, scope: CancelScope) -> None:
    """Stop the sending when the client is gone: a server may drop the bytes of a closed connection without a word."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
