"""The way out (T16, G20): an address that a participant names never borrows our place in the network."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from pydantic import ValidationError

from marketplace.kernel.errors import Invalid, Unavailable
from marketplace.plumbing import outgoing
from marketplace.plumbing.addresses import is_public
from marketplace.plumbing.outgoing import OutgoingFailed, OutgoingRefused
from marketplace.settings import Settings
from tests.plumbing.far_side import Handler, Server, Wires, answering, contexts, serving

PUBLIC = "93.184.215.14"
NAME = "inbox.buyer.example"

# {p} is the port of a canary on loopback; every form would reach it, or another place inside, by some client.
FORMS = """
http://127.0.0.1:{p}/
https://127.0.0.1:{p}/
https://127.0.0.1/
https://127.1:{p}/
https://127.0.1:{p}/
https://127.127.127.127:{p}/
https://0:{p}/
https://0.0.0.0:{p}/
https://0x7f.1:{p}/
https://0x7f.0x0.0x0.0x1:{p}/
https://0x7f000001:{p}/
https://2130706433:{p}/
https://017700000001:{p}/
https://0177.0.0.1:{p}/
https://0177.0.0.01:{p}/
https://127.0.0.1.:{p}/
https://4294967297:{p}/
https://127.0.0.0x1:{p}/
https://[::1]:{p}/
https://[::]:{p}/
https://[0:0:0:0:0:0:0:1]:{p}/
https://[::ffff:127.0.0.1]:{p}/
https://[::ffff:7f00:1]:{p}/
https://[::127.0.0.1]:{p}/
https://[64:ff9b::7f00:1]:{p}/
https://[2002:7f00:1::]:{p}/
https://[fe80::1%25lo]:{p}/
https://[::1%25lo]:{p}/
https://localhost:{p}/
https://LOCALHOST:{p}/
https://localhost.:{p}/
https://a.localhost:{p}/
https://localhost.localdomain:{p}/
https://ip6-localhost:{p}/
https://redis:{p}/
https://opa.internal:{p}/
https://printer.local:{p}/
https://router.home.arpa:{p}/
https://router.lan:{p}/
https://x.onion:{p}/
https://inbox.buyer.example@127.0.0.1:{p}/
https://127.0.0.1:{p}@inbox.buyer.example/
https://user:secret@inbox.buyer.example/
https://user@inbox.buyer.example/
https://inbox.buyer.example:{p}#@127.0.0.1/
https://inbox.buyer.example/#fragment
https://inbox.buyer.example\\@127.0.0.1:{p}/
https://127.0.0.1:{p}\\.buyer.example/
https:\\\\127.0.0.1:{p}\\
https:/127.0.0.1:{p}/
https:127.0.0.1:{p}/
https:///127.0.0.1:{p}/
//127.0.0.1:{p}/
127.0.0.1:{p}
https://127.0.0.1%00.buyer.example:{p}/
https://127.0.0.1%2f.buyer.example:{p}/
https://%31%32%37.0.0.1:{p}/
https://①②⑦.⓪.⓪.①:{p}/
https://127。0。0。1:{p}/
https://ｌｏｃａｌｈｏｓｔ:{p}/
https://loc\u00adalhost:{p}/
https://b\u00fccher.example/
https://inbox.buyer.example:0/
https://inbox.buyer.example:22/
https://inbox.buyer.example:6379/
https://inbox.buyer.example:99999/
https://inbox.buyer.example:-1/
https://inbox.buyer.example:0443/
https://inbox.buyer.example:/
https://inbox..buyer.example/
https://.buyer.example/
https://-inbox.buyer.example/
https://in_box.buyer.example/
https://inbox.buyer.example /
 https://inbox.buyer.example/
https://inbox.buyer.example/\tx
https://inbox.buyer.example/\r\nHost: 127.0.0.1
https://inbox.buyer.example/\x00
https://inbox.buyer.example/a b
http://inbox.buyer.example/
HTTPS://inbox.buyer.example/
file:///etc/passwd
ftp://inbox.buyer.example/
gopher://127.0.0.1:{p}/_x
unix:///run/docker.sock
dict://127.0.0.1:{p}/
jar:https://inbox.buyer.example!/x
data:text/plain,x
https://
https://93.184.215.14/
""".strip("\n").split("\n")

_NOT_PUBLIC = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254 168.63.129.16
169.254.169.254 169.254.0.1 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.170 192.0.2.1 192.31.196.1 192.52.193.1
192.88.99.1 192.168.0.1 192.175.48.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255
240.0.0.1 255.255.255.255
:: ::1 ::2 ::169.254.169.254 ::ffff:127.0.0.1 ::ffff:93.184.215.14 ::ffff:0:127.0.0.1 64:ff9b::a9fe:a9fe
64:ff9b::5db8:d70e 64:ff9b:1::a9fe:a9fe 100::1 100:0:0:1::1 2001::1 2001:0:a9fe:a9fe::1 2001:1::1 2001:2::1 2001:3::1
2001:4:112::1 2001:10::1 2001:20::1 2001:30::1 2001:db8::1 2002:a9fe:a9fe::1 2002:7f00:1::1 2620:4f:8000::1
3ffe::1 3fff::1 3fff:fff::1 4000::1 5f00::1 fc00::1 fd00:ec2::254 fdff::1 fe80::1 fe80::1%eth0 fec0::1 ff02::1 ff0e::1
2606:4700::5efe:10.0.0.1 2606:4700::200:5efe:169.254.169.254 2606:4700:0:0:0:5efe:7f00:1
"""

_STILL_PUBLIC = """
1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255 172.15.255.255
172.32.0.0 191.255.255.255 192.0.1.0 192.167.255.255 198.17.255.255 198.20.0.0 203.0.112.255 223.255.255.255
2001:200::1 2001:4860:4860::8888 2003::1 240e::1 2606:4700::1111 2a00::1
"""


NOT_PUBLIC, STILL_PUBLIC = _NOT_PUBLIC.split(), _STILL_PUBLIC.split()


def settings(tmp_path: Path, **chosen: object) -> Settings:
    """Answers have the time that a busy machine needs, where nothing else is chosen."""
    return Settings(data_folder=tmp_path, **({"outgoing_seconds": 60} | chosen))  # type: ignore[arg-type]


@pytest.fixture
def canary() -> Iterator[Server]:
    with serving(answering()) as server:
        yield server


@pytest.fixture
def wires(tmp_path: Path) -> Wires:
    return Wires({NAME: [[PUBLIC]]})


def nobody_came(canary: Server) -> bool:
    """Whether a visitor of our own is its first one; it takes them in the order of coming."""
    with socket.create_connection(("127.0.0.1", canary.port), timeout=60) as visitor:
        visitor.sendall(b"first?")
        assert visitor.recv(1)
    return canary.connections == 1


def test_there_are_enough_forms() -> None:
    assert len(set(FORMS)) >= 60
    assert len(set(NOT_PUBLIC)) >= 60


@pytest.mark.parametrize("form", FORMS)
def test_no_odd_form_of_an_address_reaches_the_canary(form: str, canary: Server, tmp_path: Path) -> None:
    chosen = settings(tmp_path, outgoing_ports=[443, canary.port])
    for call in (
        lambda url: outgoing.get(url, headers={}, settings=chosen),
        lambda url: outgoing.post(url, b"{}", headers={}, settings=chosen),
    ):
        with pytest.raises(OutgoingRefused) as refused:
            call(form.format(p=canary.port))
        assert isinstance(refused.value, Invalid)
        assert refused.value.action
    assert nobody_came(canary)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_a_name_that_leads_inside_is_never_called(address: str, canary: Server, tmp_path: Path, wires: Wires) -> None:
    wires.leads_to = canary.port
    for answer in ([address], [PUBLIC, address], [address, PUBLIC]):
        wires.names = {NAME: [answer]}
        with pytest.raises(OutgoingRefused) as refused:
            outgoing.get(f"https://{NAME}/", headers={}, settings=settings(tmp_path), network=wires.network)
        assert address not in str(refused.value)  # our resolver's knowledge is not the caller's
    assert wires.dialled == []
    assert canary.connections == 0


@pytest.mark.parametrize("address", STILL_PUBLIC)
def test_the_neighbours_of_the_special_blocks_are_public(address: str) -> None:
    assert is_public(ip_address(address))


def test_the_connection_goes_to_the_address_that_was_checked_under_the_certificate_of_the_name(
    tmp_path: Path, wires: Wires
) -> None:
    ours, wires.trust = contexts(tmp_path, NAME)
    wires.names = {NAME: [[PUBLIC], ["127.0.0.1"]]}  # whoever asks twice is led inside
    with serving(answering(b'{"taken": true}', headers="X-Kept: yes\r\n"), context=ours) as server:
        wires.leads_to = server.port
        answer = outgoing.post(
            f"https://{NAME}/notices?to=us",
            b'{"a":1}',
            headers={"Content-Type": "application/json"},
            settings=settings(tmp_path),
            network=wires.network,
        )
    assert (answer.status, answer.body, answer.headers["x-kept"]) == (200, b'{"taken": true}', "yes")
    assert wires.asked == [NAME]
    assert wires.dialled == [(PUBLIC, 443)]
    head = server.requests[0]
    assert head.startswith(b"POST /notices?to=us HTTP/1.1\r\n")
    assert f"\r\nHost: {NAME}\r\n".encode() in head


def test_the_next_checked_address_is_tried_when_the_first_is_silent(tmp_path: Path, wires: Wires) -> None:
    ours, wires.trust = contexts(tmp_path, NAME)
    wires.names = {NAME: [["2606:4700::1111", PUBLIC]]}
    lead = wires._dial

    def dial(address: object, port: int, seconds: float) -> socket.socket:
        if str(address) != PUBLIC:
            raise OSError("no route")
        return lead(address, port, seconds)  # type: ignore[arg-type]

    with serving(answering(), context=ours) as server:
        wires.leads_to = server.port
        network = outgoing.Network(wires.network.resolve, dial, wires.network.trust)
        assert outgoing.get(f"https://{NAME}/", headers={}, settings=settings(tmp_path), network=network).status == 200


def test_a_certificate_for_another_name_is_no_answer(tmp_path: Path, wires: Wires) -> None:
    ours, wires.trust = contexts(tmp_path, "other.example")
    with serving(answering(), context=ours) as server:
        wires.leads_to = server.port
        with pytest.raises(OutgoingFailed) as failed:
            outgoing.get(f"https://{NAME}/", headers={}, settings=settings(tmp_path), network=wires.network)
    assert isinstance(failed.value, Unavailable)
    assert server.requests == []


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent"])
def test_a_redirect_is_an_answer_and_not_a_way(status: str, canary: Server, tmp_path: Path) -> None:
    inside = f"Location: http://127.0.0.1:{canary.port}/\r\n"
    with serving(answering(status=status, headers=inside)) as server:
        chosen = settings(tmp_path, outgoing_allow_loopback=True)
        answer = outgoing.post(f"http://127.0.0.1:{server.port}/", b"x", headers={}, settings=chosen)
    assert answer.status == int(status[:3])
    assert (server.connections, canary.connections) == (1, 0)


def test_no_proxy_of_the_environment_is_asked(
    canary: Server, tmp_path: Path, wires: Wires, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
    ours, wires.trust = contexts(tmp_path, NAME)
    with serving(answering(), context=ours) as server:
        wires.leads_to = server.port
        outgoing.get(f"https://{NAME}/", headers={}, settings=settings(tmp_path), network=wires.network)
    assert (server.connections, canary.connections) == (1, 0)


def drip(connection: socket.socket, pieces: bytes) -> None:
    for piece in pieces:
        connection.sendall(bytes([piece]))
        time.sleep(0.05)


def drip_head(connection: socket.socket) -> None:
    drip(connection, b"HTTP/1.1 200 OK\r\n" + b"X-Slow: and slower\r\n" * 100)


def drip_body(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    drip(connection, b"x" * 1000)


def say_nothing(connection: socket.socket) -> None:
    connection.recv(1)  # until the caller gives up


def close_at_once(connection: socket.socket) -> None:
    connection.close()


def endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")


def endless_head(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-More: " + b"x" * 1000 + b"\r\n")


@pytest.mark.parametrize(
    "odd",
    [
        close_at_once,
        endless,
        endless_head,
        answering(b"x" * (64 * 1024 + 1)),
        lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"),
        lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"),
        lambda connection: connection.sendall(b"HTTP/1.1 999999 \r\n\r\n"),
        lambda connection: connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=lambda odd: getattr(odd, "__name__", "answer"),
)
def test_an_odd_server_is_a_failure_before_the_deadline(odd: Handler, tmp_path: Path) -> None:
    assert failure_of(odd, settings(tmp_path, outgoing_allow_loopback=True, outgoing_seconds=3600)) != "TimeoutError"


@pytest.mark.parametrize("slow", [drip_head, drip_body, say_nothing])
def test_a_slow_server_is_a_failure_at_the_deadline(slow: Handler, tmp_path: Path) -> None:
    """Each of them goes on for a minute; what it then does is another failure than that of the deadline."""
    assert failure_of(slow, settings(tmp_path, outgoing_allow_loopback=True, outgoing_seconds=1)) == "TimeoutError"


def failure_of(handle: Handler, chosen: Settings) -> str | None:
    """What is told to have happened when such a server is asked."""
    with serving(handle) as server, pytest.raises(OutgoingFailed) as failed:
        outgoing.post(f"http://127.0.0.1:{server.port}/", b"x" * 1000, headers={}, settings=chosen)
    return failed.value.got


def test_the_largest_allowed_answer_arrives(tmp_path: Path) -> None:
    chosen = settings(tmp_path, outgoing_allow_loopback=True)
    with serving(answering(b"x" * 64 * 1024)) as server:
        answer = outgoing.get(f"http://127.0.0.1:{server.port}/", headers={}, settings=chosen)
    assert len(answer.body) == 64 * 1024


def test_a_compressed_answer_is_not_unpacked(tmp_path: Path) -> None:
    bomb = b"\x1f\x8b\x08" + b"\0" * 100
    chosen = settings(tmp_path, outgoing_allow_loopback=True)
    with serving(answering(bomb, headers="Content-Encoding: gzip\r\n")) as server:
        answer = outgoing.get(f"http://127.0.0.1:{server.port}/", headers={}, settings=chosen)
    assert answer.body == bomb
    assert b"Accept-Encoding: identity" in server.requests[0]


def test_a_resolver_that_hangs_fails_or_answers_rubbish_is_a_failure(tmp_path: Path) -> None:
    chosen = settings(tmp_path, outgoing_seconds=1)

    def hang(_host: str, _port: int) -> list[str]:
        time.sleep(3)
        return [PUBLIC]

    def fail(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    for resolve in (hang, fail, lambda _host, _port: [], lambda _host, _port: ["not an address"]):
        with pytest.raises(OutgoingFailed):
            outgoing.get(f"https://{NAME}/", headers={}, settings=chosen, network=outgoing.Network(resolve=resolve))


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "127.0.0.1"},
        {"hOsT": "x"},
        {"Transfer-Encoding": "chunked"},
        {"Content-Length": "0"},
        {"X-A": "a\r\nHost: b"},
        {"X-A": "a\nb"},
        {"X\r\nA": "a"},
        {"X-A": "张"},
        {"X-A": "\0"},
    ],
)
def test_headers_cannot_change_where_a_request_goes_or_ends(
    headers: dict[str, str], canary: Server, tmp_path: Path
) -> None:
    chosen = settings(tmp_path, outgoing_allow_loopback=True)
    with pytest.raises(OutgoingRefused):
        outgoing.post(f"http://127.0.0.1:{canary.port}/", b"", headers=headers, settings=chosen)
    assert canary.connections == 0


def test_production_refuses_the_loopback_of_tests(tmp_path: Path) -> None:
    parts = {
        "database_url": "postgresql+psycopg://db/market",
        "redis_url": "redis://redis/0",
        "log_signer_url": "http://signer",
        "witness_url": "http://witness",
        "log_signer_public_key": "k",
        "witness_public_key": "k",
        "object_store_url": "s3://bucket",
        "policy_publisher_key": "k",
    }
    assert settings(tmp_path, environment="production", **parts).outgoing_allow_loopback is False
    with pytest.raises(ValidationError, match="OUTGOING_ALLOW_LOOPBACK"):
        settings(tmp_path, environment="production", outgoing_allow_loopback=True, **parts)


def test_even_with_the_loopback_of_tests_only_its_literal_form_is_taken(canary: Server, tmp_path: Path) -> None:
    chosen = settings(tmp_path, outgoing_allow_loopback=True, outgoing_ports=[443, canary.port])
    for form in FORMS:
        if not form.startswith(("http://127.0.0.1:{p}/", "https://127.0.0.1")) or "%" in form or "\\" in form:
            with pytest.raises(OutgoingRefused):
                outgoing.get(form.format(p=canary.port), headers={}, settings=chosen)
    assert canary.connections == 0


def test_an_exact_origin_may_be_this_machine_and_opens_no_other_address(tmp_path: Path) -> None:
    settings = Settings(data_folder=tmp_path)
    with serving(answering(b"here")) as server:
        origin = f"http://127.0.0.1:{server.port}"
        network = outgoing.Network(resolve=lambda *_named: pytest.fail("an address is no name to be resolved"))
        answer = outgoing.get(f"{origin}/a", headers={}, settings=settings, network=network, origins=[origin])
        assert answer.body == b"here"
        for other in (
            f"http://localhost:{server.port}/a",
            f"https://127.0.0.1:{server.port}/a",
            f"http://127.0.0.1:{server.port + 1}/a",
            f"http://127.0.0.1.example:{server.port}/a",
        ):
            with pytest.raises(OutgoingRefused):
                outgoing.get(other, headers={}, settings=settings, origins=[origin])
        assert server.connections == 1


@pytest.mark.parametrize(
    "text", ["https://a.example", "https://A.example:443", "a.example:443", "https://a.example:0", ""]
)
def test_only_a_whole_origin_can_be_registered(text: str) -> None:
    with pytest.raises(OutgoingRefused):
        outgoing.require_origin(text)


def test_certificates_are_always_checked_and_what_is_trusted_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading it for each message took 26 ms of processor time."""
    moment = [6000.0]
    monkeypatch.setattr(time, "monotonic", lambda: moment[0])
    first = outgoing.Network().trust()
    assert (first.verify_mode, first.check_hostname) == (ssl.CERT_REQUIRED, True)
    moment[0] += 599
    assert outgoing.Network().trust() is first
    moment[0] += 1
    assert outgoing.Network().trust() is not first
