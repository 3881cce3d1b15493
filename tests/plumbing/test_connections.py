"""Connections that stay open (T16): they save a dial, and never lead where a new one would not have been made."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from marketplace.plumbing import connections, outgoing, sockets, wires
from marketplace.plumbing.addresses import Address, read_address
from marketplace.plumbing.connections import AGE_SECONDS, IDLE_SECONDS, OF_ALL, OF_ONE_PLACE
from marketplace.plumbing.outgoing import OutgoingFailed, OutgoingRefused
from tests.house import House
from tests.plumbing.far_side import SECONDS, answering, contexts, serving, turns
from tests.plumbing.sender import INSIDE, NAME, ORIGIN, PUBLIC, SECURE, Sender
from tests.transfer.doors import served


def test_messages_to_one_origin_go_over_one_connection(sender: Sender) -> None:
    with serving(answering(b"taken"), keeps=True) as server:
        sender.wires.leads_to = server.port
        answers = [sender.post(b"x" * size, url=f"{ORIGIN}/{size}") for size in range(6)]
        sender.connections.close()
    assert [(one.status, one.body) for one in answers] == [(200, b"taken")] * 6
    assert (server.connections, sender.wires.asked, sender.wires.dialled) == (1, [NAME], [(PUBLIC, 80)])
    assert [one.split(b" ")[1] for one in server.requests] == [f"/{size}".encode() for size in range(6)]
    assert not any(b"connection: close" in one.lower() for one in server.requests)


def test_under_tls_they_share_one_handshake(sender: Sender, tmp_path: Path) -> None:
    ours, sender.wires.trust = contexts(tmp_path, NAME)
    with serving(answering(b"taken"), context=ours, keeps=True) as server:
        sender.wires.leads_to = server.port
        assert [sender.post(url=SECURE, origins=()).body for _ in range(3)] == [b"taken"] * 3
        sender.connections.close()
    assert (server.connections, len(server.requests), sender.dials) == (1, 3, 1)


def test_a_request_of_its_own_ends_its_connection(sender: Sender) -> None:
    with serving(answering(), keeps=True) as server:
        sender.wires.leads_to = server.port
        network = sender.wires.network
        for _ in range(2):
            outgoing.post(ORIGIN, b"", headers={}, settings=sender.settings, network=network, origins=[ORIGIN])
    assert (server.connections, sender.dials) == (2, 2)
    assert all(b"\r\nConnection: close\r\n" in one for one in server.requests)


@pytest.mark.parametrize("other", [f"http://{NAME}:8080", "http://other.example:80", f"http://{NAME}:443"])
def test_a_connection_is_used_for_no_other_origin(sender: Sender, other: str) -> None:
    sender.wires.names["other.example"] = [[PUBLIC]]  # and yet another service of the same address
    with serving(answering(), keeps=True) as server:
        sender.wires.leads_to = server.port
        for url in (ORIGIN, other, ORIGIN, other):
            assert sender.post(url=url, origins=[ORIGIN, other]).status == 200
        sender.connections.close()
    assert (server.connections, sender.dials) == (2, 2)


def test_a_connection_in_clear_is_not_used_for_https_nor_the_other_way_round(sender: Sender, tmp_path: Path) -> None:
    clear, (ours, sender.wires.trust) = f"http://{NAME}:443", contexts(tmp_path, NAME)
    with serving(answering(b"clear"), keeps=True) as one, serving(answering(b"tls"), context=ours, keeps=True) as two:
        said = []
        for url, server in ((clear, one), (SECURE, two), (clear, one), (SECURE, two)):
            sender.wires.leads_to = server.port
            said.append(sender.post(url=url, origins=[clear]).body)
        sender.connections.close()
    assert (said, sender.dials) == ([b"clear", b"tls"] * 2, 2)


def test_a_connection_that_only_a_registered_origin_may_have_is_no_other_caller_s(
    sender: Sender, tmp_path: Path
) -> None:
    ours, sender.wires.trust = contexts(tmp_path, NAME)
    sender.wires.names = {NAME: [[INSIDE]]}
    with serving(answering(), context=ours, keeps=True) as server:
        sender.wires.leads_to = server.port
        assert sender.post(url=SECURE, origins=[SECURE]).status == 200
        with pytest.raises(OutgoingRefused):  # public by its form, and judged by where it leads
            sender.post(url=SECURE, origins=())
        assert sender.post(url=SECURE, origins=[SECURE]).status == 200
        sender.connections.close()
    assert (sender.dials, len(server.requests)) == (1, 2)


def test_a_connection_of_anybody_is_not_used_under_a_registration(sender: Sender, tmp_path: Path) -> None:
    ours, sender.wires.trust = contexts(tmp_path, NAME)
    with serving(answering(), context=ours, keeps=True) as server:
        sender.wires.leads_to = server.port
        for origins in ((), (SECURE,)):
            sender.post(url=SECURE, origins=origins)
        sender.connections.close()
    assert (server.connections, sender.dials) == (2, 2)


def test_an_address_that_lost_its_registration_is_not_called_though_a_connection_is_kept(sender: Sender) -> None:
    with serving(answering(), keeps=True) as server:
        sender.wires.leads_to = server.port
        sender.post()
        assert len(sender.waiting) == 1
        for origins in ((), [f"http://{NAME}:8080"]):
            with pytest.raises(OutgoingRefused):
                sender.post(origins=origins)
        sender.connections.close()
    assert len(server.requests) == 1


def test_a_kept_connection_to_loopback_is_of_no_use_without_the_setting_of_tests(sender: Sender) -> None:
    allowed, settings = sender.settings.model_copy(update={"outgoing_allow_loopback": True}), sender.settings
    with serving(answering(), keeps=True) as server:
        sender.wires.leads_to, url = server.port, f"http://127.0.0.1:{server.port}/"
        outgoing.post(url, b"", headers={}, settings=allowed, network=sender.connections)
        assert len(sender.waiting) == 1
        with pytest.raises(OutgoingRefused):
            outgoing.post(url, b"", headers={}, settings=settings, network=sender.connections)
        sender.connections.close()
    assert len(server.requests) == 1


def test_headers_are_judged_before_a_kept_connection_too(sender: Sender) -> None:
    with serving(answering(), keeps=True) as server:
        sender.wires.leads_to = server.port
        sender.post()
        for headers in ({"Host": "inside"}, {"X-A": "a\r\nHost: inside"}, {"Transfer-Encoding": "chunked"}):
            with pytest.raises(OutgoingRefused):
                outgoing.post(
                    ORIGIN,
                    b"",
                    headers=headers,
                    settings=sender.settings,
                    network=sender.connections,
                    origins=[ORIGIN],
                )
        sender.connections.close()
    assert len(server.requests) == 1


def test_a_name_that_moves_is_checked_anew_at_the_age_of_a_connection_that_never_rests(
    sender: Sender, tmp_path: Path, moment: list[float]
) -> None:
    ours, sender.wires.trust = contexts(tmp_path, NAME)
    sender.wires.names = {NAME: [[PUBLIC], [INSIDE]]}
    begun = moment[0]
    with serving(answering(), context=ours, keeps=True) as server:
        sender.wires.leads_to = server.port
        while moment[0] < begun + AGE_SECONDS:
            sender.post(url=SECURE, origins=())
            moment[0] += 1
        with pytest.raises(OutgoingRefused, match="public addresses only"):
            sender.post(url=SECURE, origins=())
        assert sender.waiting == []
    assert (len(server.requests), server.connections, sender.wires.asked) == (AGE_SECONDS, 1, [NAME, NAME])


def test_a_connection_that_rested_too_long_is_closed(
    sender: Sender, moment: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDLE_SECONDS", IDLE_SECONDS)
    sender.wires.names["other.example"] = [[PUBLIC]]
    with serving(answering(), keeps=True) as server:
        sender.wires.leads_to = server.port
        sender.post()
        moment[0] += IDLE_SECONDS - 0.01
        sender.post()
        assert server.connections == 1
        (rested,) = sender.waiting
        moment[0] += IDLE_SECONDS
        sender.post(url="http://other.example:80", origins=["http://other.example:80"])
        assert rested.is_closed()  # whoever comes next tidies up
        assert rested not in sender.waiting
        sender.post()
        sender.connections.close()
    assert server.connections == 3


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await Response(await Request(scope, receive).body())(scope, receive, send)


def test_answers_of_threads_never_mix_and_few_connections_stay(
    house: House, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "SILENT_SECONDS", 2 * AGE_SECONDS)  # it keeps them for longer than we do

    def talk(number: int) -> list[bool]:
        bodies = [f"{number}:{turn}:".encode() * (turn * 40 + 1) for turn in range(25)]
        return [sender.post(body).body == body for body in bodies]

    with served(house, echo) as (_host, port), ThreadPoolExecutor(8) as threads:
        sender.wires.leads_to = port
        assert all(all(one) for one in threads.map(talk, range(8)))
        assert 1 <= len(sender.waiting) <= OF_ONE_PLACE
        sender.connections.close()
    assert sender.dials < 200


def test_two_requests_at_once_have_two_connections(sender: Sender) -> None:
    both = threading.Barrier(2, timeout=SECONDS)

    def meet(connection: socket.socket) -> None:
        both.wait()
        answering()(connection)

    with serving(turns(answering(), meet), keeps=True) as server, ThreadPoolExecutor(2) as threads:
        sender.wires.leads_to = server.port
        sender.post()
        assert [one.status for one in threads.map(lambda _: sender.post(), range(2))] == [200, 200]
        assert len(sender.waiting) == 2
        sender.connections.close()
    assert server.connections == 2


def test_of_many_origins_the_newest_connections_are_kept(sender: Sender) -> None:
    origins = [f"http://{NAME}:{8000 + number}" for number in range(OF_ALL + 3)]
    with serving(answering(), keeps=True) as server:
        sender.wires.leads_to = server.port
        for origin in origins:
            sender.post(url=origin, origins=origins)
        assert [one.place.port for one in sender.waiting] == [8000 + number for number in range(3, OF_ALL + 3)]
        sender.connections.close()


def test_what_is_closed_keeps_nothing_any_more(sender: Sender) -> None:
    with serving(answering(), keeps=True) as server:
        sender.wires.leads_to = server.port
        sender.post()
        (waiting,) = sender.waiting
        sender.connections.close()
        assert waiting.is_closed()
        assert sender.post().status == 200  # whoever is still at work ends it
        assert sender.waiting == []


def test_a_runtime_closes_its_connections_at_its_end(house: House) -> None:
    closed: list[bool] = []
    house.runtime.connections.close = lambda: closed.append(True)  # type: ignore[method-assign]
    house.runtime.close()
    assert closed == [True]


def test_a_forked_child_has_none_and_its_parent_keeps_its_own(sender: Sender) -> None:
    with serving(answering(), keeps=True) as server:
        sender.wires.leads_to = server.port
        sender.post()
        (kept,) = sender.waiting
        # As another thread may have it at that moment: nobody in the child would ever release it.
        with sender.connections._lock:
            child = os.fork()
            if child == 0:
                with suppress(BaseException):
                    free = sender.connections._lock.acquire(blocking=False)
                    os._exit(0 if free and not sender.waiting and kept.is_closed() else 1)
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert sender.post().status == 200
        sender.connections.close()
    assert server.connections == 1


def test_a_handshake_that_cannot_begin_leaves_no_connection(sender: Sender) -> None:
    opened: list[socket.socket] = []

    def dial(address: Address, port: int, seconds: float) -> socket.socket:
        opened.append(sender.wires._dial(address, port, seconds))
        return opened[-1]

    def trust() -> ssl.SSLContext:
        raise OSError("the certificates cannot be read")

    sender.connections.network = outgoing.Network(sender.wires._resolve, dial, trust)
    with serving(answering()) as server:
        sender.wires.leads_to = server.port
        with pytest.raises(OutgoingFailed):
            sender.post(url=SECURE, origins=())
    assert [one.fileno() for one in opened] == [-1]


def test_a_body_does_not_wait_for_the_receipt_of_its_head() -> None:
    """Over a connection that was used before, it would by up to 40 ms."""
    here = "127.0.0.1"
    with (
        socket.create_server((here, 0)) as door,
        wires.dial(read_address(here), door.getsockname()[1], 5) as connection,
    ):
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
