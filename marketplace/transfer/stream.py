"""Sending an opened transfer: window by window, each logged and committed before its bytes leave (threats T22, T23)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from anyio import CancelScope, CapacityLimiter, create_task_group
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from structlog import get_logger

from marketplace.kernel.actor import Actor
from marketplace.kernel.errors import DomainError
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.storage import ObjectDamaged
from marketplace.plumbing.turns import Turns, in_own_thread
from marketplace.transfer import rules, service
from marketplace.transfer.opening import Opened


class WindowSource:
    """The windows of one leg.  Between two windows it holds no database connection.

    outcome: how the leg ends as things stand; `broken` until the last window was handed out.
    """

    def __init__(self, runtime: Runtime, actor: Actor, opened: Opened) -> None:
        self._runtime = runtime
        self._actor = actor
        self._opened = opened
        self._window = runtime.settings.window_kib * 1024
        self._chunks = self._read()
        self._buffer = b""
        self._hash = hashlib.sha256()
        self._granted = 0
        self.outcome = rules.BROKEN

    def next(self) -> bytes | None:
        """The bytes of the next window, already logged; None at the end, or when the use was stopped."""
        if self._granted == self._opened.span.length:
            self.outcome = rules.COMPLETE
            return None
        try:
            window = self._take()
        except DomainError as error:
            # The rest of the client's answer is missing, so it sees a broken transfer, never wrong bytes.
            get_logger().error("transfer damaged", transfer=self._opened.transfer, error=error.slug)
            self.outcome = rules.DAMAGED
            return None
        reason = self._grant(window)
        if reason is not None:
            self.outcome = reason
            return None
        self._granted += len(window)
        return window

    def close(self) -> None:
        """Settle the leg; asking again changes nothing."""
        now = self._runtime.clock.now()
        with self._runtime.database.transaction() as db:
            service.close(db, self._actor, self._opened.transfer, self._opened.leg, self.outcome, now)

    def _take(self) -> bytes:
        """The next window's bytes.  Raises ObjectDamaged."""
        left = self._opened.span.length - self._granted
        wanted = min(self._window, left)
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
        opened = self._opened
        if opened.span.length == opened.whole.body.size and self._hash.hexdigest() != opened.whole.sha256:
            raise ObjectDamaged("the delivery no longer has its hash", expected=opened.whole.sha256)

    def _grant(self, window: bytes) -> str | None:
        with self._runtime.database.transaction() as db:
            return service.grant_window(
                db,
                self._actor,
                self._opened.transfer,
                self._opened.leg,
                len(window),
                self._hash.hexdigest(),
                self._runtime.clock.now(),
                lease_seconds=self._runtime.settings.transfer_lease_seconds,
            )

    def _read(self) -> Iterator[bytes]:
        span = self._opened.span
        return self._opened.whole.body.read(self._runtime.store, span.start, span.end)


class WindowResponse(Response):
    """An answer whose body comes from a WindowSource and which closes it whatever happens.

    A leg that does not end `complete` is left without its last message, so the server cuts the connection and the
    client sees fewer bytes than Content-Length.
    """

    def __init__(self, source: WindowSource, *, status_code: int, media_type: str, headers: dict[str, str]) -> None:
        super().__init__(status_code=status_code, media_type=media_type, headers=headers)
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        turns = Turns.DOWNLOADS.of(scope["app"])
        try:
            async with create_task_group() as group:
                group.start_soon(_until_gone, receive, group.cancel_scope)
                await self._send_windows(send, turns)
                group.cancel_scope.cancel()
        finally:
            with CancelScope(shield=True):
                await in_own_thread(turns, self._source.close)

    async def _send_windows(self, send: Send, turns: CapacityLimiter) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        while (window := await in_own_thread(turns, self._source.next)) is not None:
            await send({"type": "http.response.body", "body": window, "more_body": True})
        if self._source.outcome == rules.COMPLETE:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive, scope: CancelScope) -> None:
    """Stop the sending when the client is gone: a server may drop the bytes of a closed connection without a word."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
