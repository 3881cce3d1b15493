"""Over a kept connection an answer is to its own request: nothing broken off or unasked is taken for the next one."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from pathlib import Path

import pytest

from marketplace.plumbing.outgoing import OutgoingFailed
from marketplace.plumbing.wires import Stream
from tests.plumbing.far_side import SECONDS, Handler, answering, contexts, serving, turns
from tests.plumbing.sender import NAME, ORIGIN, SECURE, Sender
from tests.transfer.doors import wait_until

FORGED = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"


def raw(said: bytes) -> Handler:
    return lambda connection: connection.sendall(said)


def close(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def test_each_request_has_a_deadline_of_its_own(sender: Sender, moment: list[float]) -> None:
    with serving(answering(), keeps=True) as server:
        sender.wires.leads_to = server.port
        for _ in range(9):
            assert sender.post(seconds=20).status == 200
            moment[0] += 6
        sender.connections.close()
    assert server.connections == 1


def drip(connection: socket.socket) -> None:
    """A minute long."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1200\r\n\r\n")
    for _ in range(1200):
        connection.sendall(b"x")
        time.sleep(0.05)


def test_a_deadline_holds_over_a_kept_connection_whose_other_side_drips(sender: Sender) -> None:
    with serving(turns(answering(), drip), keeps=True) as server:
        sender.wires.leads_to = server.port
        assert sender.post().status == 200
        with pytest.raises(OutgoingFailed) as failed:
            sender.post(seconds=1)
        assert failed.value.got == "TimeoutError"
        assert sender.waiting == []
    assert (server.connections, len(server.requests)) == (1, 2)


def test_a_connection_that_the_other_side_closed_is_noticed_before_a_message_is_risked(sender: Sender) -> None:
    with serving(answering(b"taken")) as server:  # it ends each connection, and does not say so
        sender.wires.leads_to = server.port
        for _ in range(3):
            assert sender.post().body == b"taken"
            wait_until(lambda: not sender.waiting or not sender.waiting[0].goes_on())
    assert (server.connections, len(server.requests)) == (3, 3)


def test_a_request_that_failed_over_a_kept_connection_is_not_sent_again(sender: Sender) -> None:
    with serving(turns(answering(), close, answering(b"again")), keeps=True) as server:
        sender.wires.leads_to = server.port
        sender.post(b"first")
        with pytest.raises(OutgoingFailed):
            sender.post(b"second")
        assert (server.connections, len(server.requests)) == (1, 2)
        assert sender.post(b"third").body == b"again"
        sender.connections.close()
    assert server.connections == 2


@pytest.mark.parametrize(
    "last",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
)
def test_an_answer_that_takes_leave_ends_the_connection(sender: Sender, last: bytes) -> None:
    with serving(raw(last), keeps=True) as server:
        sender.wires.leads_to = server.port
        assert [sender.post().body for _ in range(2)] == [b"ok", b"ok"]
        assert sender.waiting == []
    assert server.connections == 2


def test_an_answer_that_ends_with_its_connection_is_taken_and_ends_it(sender: Sender) -> None:
    with serving(raw(b"HTTP/1.1 200 OK\r\n\r\nall of it")) as server:
        sender.wires.leads_to = server.port
        assert [sender.post().body for _ in range(2)] == [b"all of it"] * 2
        assert sender.waiting == []
    assert server.connections == 2


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize(
    "more", [FORGED, FORGED[:30], b"HTTP/1.1 100 Continue\r\n\r\n", b"\r\n", b"x", b"HTTP/1.1 200 OK\r\nX-Swallow: "]
)
def test_what_comes_behind_an_answer_is_never_the_next_one(
    sender: Sender, tmp_path: Path, more: bytes, later: bool, secure: bool
) -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst"

    def first(connection: socket.socket) -> None:
        for piece in (whole, more) if later else (whole + more,):
            connection.sendall(piece)

    ours, sender.wires.trust = contexts(tmp_path, NAME)
    url, context = (SECURE, ours) if secure else (ORIGIN, None)
    with serving(turns(first, answering(b"second")), context=context, keeps=True) as server:
        sender.wires.leads_to = server.port
        assert sender.post(url=url).body == b"first"
        if later:  # until it is there; the far side would end the connection after a minute
            wait_until(lambda: not sender.waiting or not sender.waiting[0].goes_on(), SECONDS / 2)
        assert sender.post(url=url).body == b"second"
        sender.connections.close()
    assert server.connections == 2


def test_what_was_deciphered_and_not_read_breaks_the_silence(tmp_path: Path) -> None:
    """The kernel knows nothing of it any more."""
    ours, trust = contexts(tmp_path, NAME)
    with (
        serving(raw(b"ab"), context=ours, keeps=True) as server,
        closing(socket.create_connection(("127.0.0.1", server.port))) as connection,
        closing(Stream(connection, time.monotonic() + SECONDS).start_tls(trust, NAME)) as stream,
    ):
        stream.write(b"GET / HTTP/1.1\r\n\r\n")
        assert stream.read(1) == b"a"
        assert not stream.is_silent()
        assert stream.read(1) == b"b"
        assert stream.is_silent()


def stop_halfway(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")


@pytest.mark.parametrize(
    "broken",
    [
        stop_halfway,
        raw(b"HTTP/1.1 200 OK\r\nContent-Le"),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nhalf"),
        answering(b"x" * (64 * 1024 + 1)),
        lambda connection: stop_halfway(connection) or close(connection),  # type: ignore[func-returns-value]
    ],
    ids=["half", "half a head", "half of chunks", "two lengths", "too large", "closed"],
)
def test_an_answer_that_was_broken_off_is_not_continued_by_the_next_request(sender: Sender, broken: Handler) -> None:
    with serving(turns(answering(b"first"), broken, answering(b"third")), keeps=True) as server:
        sender.wires.leads_to = server.port
        assert sender.post().body == b"first"
        with pytest.raises(OutgoingFailed):
            sender.post(seconds=1)
        assert sender.waiting == []
        assert sender.post().body == b"third"
        sender.connections.close()
    assert (server.connections, len(server.requests)) == (2, 3)
