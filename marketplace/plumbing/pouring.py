"""A large body to a participant's address: piece by piece, watched all the while, cut at the socket when it must stop.

The same guard as `outgoing`; what differs is that a body may take as long as the other side keeps taking it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping

from marketplace.plumbing.outgoing import (
    FAILURES,
    Answer,
    OutgoingRefused,
    checked,
    exchange,
    failed,
    read_target,
    require_headers,
)
from marketplace.plumbing.wires import Network, Watched, WatchedBackend
from marketplace.settings import Settings


def pour(
    method: str,
    url: str,
    chunks: Iterator[bytes],
    length: int,
    *,
    headers: Mapping[str, str],
    settings: Settings,
    origins: Collection[str],
    goes_on: Callable[[], bool] = lambda: True,
    network: Network | None = None,
) -> Answer:
    """Send a body of `length` bytes to a registered address; the answer comes after its last byte, or before it.

    origins: as for `outgoing.read_target`, and the only addresses that are called.  goes_on: asked before every piece
    and every `stop_watch_ms` while the other side takes nothing; False resets the connection.
    Raises OutgoingRefused before any connection, OutgoingFailed, and whatever `chunks` raises.
    """
    target = read_target(url, settings, origins)
    if not target.named:
        raise OutgoingRefused("data goes to registered addresses only", expected=" or ".join(sorted(origins)))
    require_headers(headers)
    network, end = network or Network(), time.monotonic() + settings.outgoing_seconds
    watched = Watched(
        settings.stream_idle_seconds, settings.stop_watch_ms / 1000, settings.send_buffer_kib << 10, goes_on
    )
    try:
        backend = WatchedBackend(checked(target, network, end), network, end, watched)
        request = (method, target, chunks, length, headers)
        return exchange(*request, backend=backend, network=network, largest=settings.outgoing_answer_kib << 10)
    except FAILURES as error:
        raise failed(error, settings) from error
