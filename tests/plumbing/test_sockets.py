"""Connections that bring no request, too many of them, and which address a caller is counted by (T34)."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import anyio
import pytest
from pydantic import ValidationError
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from marketplace.plumbing import sockets
from marketplace.plumbing.connections import IDLE_SECONDS
from marketplace.plumbing.limits import place_of
from marketplace.settings import Settings
from tests.house import House
from tests.transfer.doors import app_of, served, wait_until, with_settings

HEAD = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n"
LONG = 60
"""Seconds within which even a busy machine does what the tests wait for."""


@contextmanager
def connected(address: tuple[str, int], sent: bytes = b"") -> Iterator[socket.socket]:
    with socket.create_connection(address, timeout=LONG) as connection:
        connection.sendall(sent)
        yield connection


def is_open(connection: socket.socket, seconds: float = 0.2) -> bool:
    """Whether the other side has not closed it; the rest of an answer that was sent before says nothing of that."""
    connection.settimeout(seconds)
    try:
        while connection.recv(4096):
            pass
    except TimeoutError:
        return True
    except OSError:
        return False
    return False


def is_closed_in_time(connection: socket.socket) -> bool:
    """Whether the other side closes it, for which a busy machine has a while."""
    return not is_open(connection, LONG)


def is_cut_off(connection: socket.socket) -> bool:
    """Whether the other side ends what would go on for long, byte by byte."""
    try:
        for _ in range(LONG * 20):
            connection.sendall(b"x")
            time.sleep(0.05)
    except OSError:
        return True
    return False


@pytest.mark.parametrize("sent", [b"", b"GET", HEAD, HEAD + b"\r\n" + HEAD])
def test_half_a_head_has_its_time_and_is_not_waited_for_longer(
    house: House, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(sockets, "SILENT_SECONDS", 3600)
    with served(with_settings(house, header_seconds=3600)) as address, connected(address, sent) as connection:
        assert is_open(connection)
    with served(with_settings(house, header_seconds=1)) as address, connected(address, sent) as connection:
        assert is_closed_in_time(connection)


def test_a_head_that_drips_is_not_waited_for_either(house: House) -> None:
    with served(with_settings(house, header_seconds=1)) as address, connected(address, HEAD) as connection:
        assert is_cut_off(connection)


def test_a_connection_that_is_used_stays(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has as long for its first head as it then rests, so that only the time of a head that came can end it."""
    monkeypatch.setattr(sockets, "SILENT_SECONDS", 3600)
    with (
        served(with_settings(house, header_seconds=3)) as address,
        connected(address, HEAD + b"\r\n") as connection,
    ):
        assert is_open(connection, 4), "an answer came, and no end"
        connection.sendall(HEAD + b"\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 404")


def test_a_silent_connection_is_kept_seconds_longer_than_we_keep_one_ourselves(house: House) -> None:
    config = sockets.server(app_of(house), house.runtime.settings).config
    assert config.timeout_keep_alive >= IDLE_SECONDS + 3


def test_a_stop_does_not_wait_for_connections_that_wait_for_a_request(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "SILENT_SECONDS", 3600)
    with socket.create_server(("127.0.0.1", 0)) as door:
        server = sockets.server(app_of(house), house.runtime.settings, log_level="critical", lifespan="off")
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
        thread.start()
        wait_until(lambda: server.started)
        with connected(door.getsockname(), HEAD + b"\r\n") as connection:
            assert connection.recv(4096).startswith(b"HTTP/1.1 404")
            server.should_exit = True
            thread.join(LONG)
            assert not thread.is_alive()
            assert is_closed_in_time(connection)


def test_the_rest_of_a_body_that_nobody_reads_is_not_waited_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "_REST_SECONDS", 1)
    with served(house) as address, connected(address, HEAD + b"Content-Length: 1000000\r\n\r\n") as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 404")
        assert is_cut_off(connection)


def test_one_address_has_at_most_half_of_the_connections(house: House) -> None:
    with served(with_settings(house, limit_connections=8, header_seconds=3600)) as address, ExitStack() as stack:
        first = [stack.enter_context(connected(address, HEAD)) for _ in range(4)]
        with connected(address) as fifth:
            assert is_closed_in_time(fifth)
        assert all(is_open(one) for one in first)
        first[0].close()

        def let_in() -> bool:
            with connected(address) as again, suppress(OSError):
                again.sendall(HEAD + b"\r\n")
                return again.recv(4096) != b""
            return False

        wait_until(let_in)


def test_beyond_the_limit_a_request_is_told_so_and_far_beyond_nobody_is_let_in(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "_TOLD", 2)
    more = {"limit_connections": 8, "header_seconds": 3600, "trusted_proxies": networks("127.0.0.1")}
    with served(with_settings(house, **more)) as address, ExitStack() as stack:
        *_, told = [stack.enter_context(connected(address, HEAD)) for _ in range(10)]
        with connected(address) as refused:
            assert is_closed_in_time(refused)
        told.sendall(b"\r\n")
        assert told.recv(4096).startswith(b"HTTP/1.1 503")


def test_an_answer_is_sent_at_once_and_waits_for_no_receipt_of_what_went_before(house: House) -> None:
    at_once: list[int] = []

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        line = sockets.line_of(scope)
        assert line is not None
        at_once.append(line._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with served(house, app) as address, connected(address, HEAD + b"\r\n") as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 204")
    assert at_once == [1]


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "counted"),
    [
        ((), "10.0.0.7", "203.0.113.7", "10.0.0.7"),
        (("10.0.0.0/24",), "10.0.0.7", "203.0.113.7", "203.0.113.7"),
        (("10.0.0.0/24",), "10.0.1.7", "203.0.113.7", "10.0.1.7"),
        (("10.0.0.7",), "10.0.0.7", "198.51.100.1, 203.0.113.7", "203.0.113.7"),  # the first was invented
        (("10.0.0.7", "10.0.0.8"), "10.0.0.7", "203.0.113.7, 10.0.0.8", "203.0.113.7"),
        (("10.0.0.7",), "10.0.0.7", None, "10.0.0.7"),
    ],
)
def test_a_caller_is_counted_by_the_address_that_a_trusted_proxy_tells(
    house: House, trusted: tuple[str, ...], peer: str, forwarded: str | None, counted: str
) -> None:
    seen: list[str] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(place_of(Request(scope)))

    server = sockets.server(app, with_settings(house, trusted_proxies=networks(*trusted)).runtime.settings)
    server.config.load()
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    scope = {"type": "http", "client": (peer, 1), "scheme": "http", "headers": headers}
    anyio.run(server.config.loaded_app, scope, None, None)
    assert seen == [counted]


def networks(*names: str) -> tuple[object, ...]:
    return Settings(trusted_proxies=names).trusted_proxies  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["0.0.0.0/0", "::/0", "proxy.example", "10.0.0.7/24"])
def test_a_proxy_is_an_address_or_a_network_but_never_everybody(name: str) -> None:
    with pytest.raises(ValidationError):
        networks(name)
