"""A large body to a registered address: in full, watched while the other side takes nothing, reset when it stops."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from marketplace.plumbing.outgoing import Answer, OutgoingFailed, OutgoingRefused
from marketplace.plumbing.pouring import pour
from marketplace.settings import Settings
from tests.plumbing.far_side import SECONDS, Server, answering, serving

LARGE = 8 << 20
PIECE = bytes(64 << 10)


def settings(**changes: int) -> Settings:
    return Settings(**({"stop_watch_ms": 5, "outgoing_allow_loopback": True} | changes))  # type: ignore[arg-type]


def pieces(size: int = LARGE) -> Iterator[bytes]:
    yield from (PIECE for _ in range(size // len(PIECE)))


def poured(server: Server, *, goes_on: Callable[[], bool] = lambda: True, size: int = LARGE, **changes: int) -> Answer:
    origin = f"http://127.0.0.1:{server.port}"
    return pour(
        "PUT",
        f"{origin}/inbox/1",
        pieces(size),
        size,
        headers={"Authorization": "Bearer token"},
        settings=settings(**changes),
        origins=[origin],
        goes_on=goes_on,
    )


def test_a_large_body_arrives_in_full_before_its_answer() -> None:
    got = bytearray()

    def read_all(connection: socket.socket) -> None:
        got.extend(server.requests[-1])
        while len(got.partition(b"\r\n\r\n")[2]) < LARGE:
            got.extend(connection.recv(1 << 16))
        answering(b"", status="201 Created")(connection)

    with serving(read_all) as server:
        assert poured(server).status == 201
    head, _, body = bytes(got).partition(b"\r\n\r\n")
    assert head.startswith(b"PUT /inbox/1 HTTP/1.1\r\n")
    assert f"content-length: {LARGE}".encode() in head.lower()
    assert len(body) == LARGE


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/inbox", "https://public.example/inbox", "http://10.0.0.1:80/x"])
def test_no_address_is_called_that_is_not_registered(url: str) -> None:
    with serving(answering()) as server, pytest.raises(OutgoingRefused):
        pour("PUT", url, pieces(), LARGE, headers={}, settings=settings(), origins=[f"http://127.0.0.1:{server.port}"])
    assert server.connections == 0


def test_a_stop_resets_a_connection_whose_other_side_takes_nothing() -> None:
    stopped, released = threading.Event(), threading.Event()
    taken, ended = list[int](), list[str]()

    def wait_and_read(connection: socket.socket) -> None:
        stopped.set()
        assert released.wait(SECONDS)
        try:
            while chunk := connection.recv(1 << 16):
                taken.append(len(chunk))
        except ConnectionResetError:
            ended.append("reset")

    with serving(wait_and_read) as server:
        with pytest.raises(OutgoingFailed):
            poured(server, goes_on=lambda: not stopped.is_set(), size=LARGE * 4, stream_idle_seconds=2 * SECONDS)
        released.set()  # after a minute the other side would have given up, and not be reset
    assert sum(taken) < LARGE * 4
    assert ended == ["reset"], "what lay in our kernel's buffer was thrown away"


def test_who_takes_nothing_for_long_is_given_up() -> None:
    released = threading.Event()
    with serving(lambda _: released.wait(SECONDS) and None) as server:
        with pytest.raises(OutgoingFailed):
            poured(server, size=LARGE * 4, stream_idle_seconds=1)
        released.set()


def test_an_answer_before_the_end_of_the_body_is_heard() -> None:
    def refuse(connection: socket.socket) -> None:
        answering(b"", status="403 Forbidden")(connection)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 16):
            pass

    with serving(refuse) as server:
        assert poured(server).status == 403
