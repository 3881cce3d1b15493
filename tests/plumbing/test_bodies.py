"""Who may send a body, how large and how slow it may be, and that none of it holds up the others (T34)."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPResponse
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from starlette.requests import Request
from starlette.types import Message
from structlog.testing import capture_logs

from marketplace.dataspace.routes import routes
from marketplace.plumbing import bodies
from marketplace.plumbing.bodies import LARGE, MOST_VALUES, MOST_VALUES_OF_LARGE, SMALL, BodyTooSlow
from tests.house import House
from tests.plumbing.door import Door
from tests.transfer.doors import app_of, served

DOOR = "http://127.0.0.1:8000/v1/door"
KEY = {"Idempotency-Key": "key-00000009"}


class Pieces:
    """A body that counts how much of it was taken."""

    def __init__(self, size: int, piece: bytes = b" " * 4096) -> None:
        self.size, self.piece, self.taken = size, piece, 0

    def __iter__(self) -> Iterator[bytes]:
        while self.taken < self.size:
            self.taken += len(self.piece)
            yield self.piece


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer not.a.token"}])
def test_a_stranger_is_refused_before_its_body_is_read(door: Door, headers: dict[str, str]) -> None:
    sent = Pieces(LARGE)
    answer = door.hospital._http.post(f"{DOOR}/one/knock", content=sent, headers=KEY | headers)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert sent.taken <= len(sent.piece)


def test_a_token_without_its_proof_brings_no_body(door: Door) -> None:
    assert door.hospital.knock("one/knock").status_code == 200
    token = door.hospital._token
    assert token is not None
    for headers in ({"Authorization": f"DPoP {token[0]}"}, {"Authorization": f"Bearer {token[0]}"}):
        sent = Pieces(LARGE)
        answer = door.hospital._http.post(f"{DOOR}/one/knock", content=sent, headers=KEY | headers)  # type: ignore[arg-type]
        assert (answer.status_code, sent.taken <= len(sent.piece)) == (401, True)
    assert door.number("one") == 1


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["one", "../catalogue"])
def test_a_request_that_reads_has_no_body(door: Door, method: str, path: str) -> None:
    sent = Pieces(LARGE)
    answer = door.hospital._http.request(method, f"{DOOR}/{path}", content=sent)  # type: ignore[arg-type]
    assert answer.status_code == (400 if method == "GET" else 405)
    assert sent.taken <= len(sent.piece)


def test_a_large_body_is_for_the_operations_that_say_so(door: Door) -> None:
    text = {"size": "x" * SMALL}
    assert door.hospital.knock("one/knock", json=text).status_code == 200
    refused = door.hospital.knock("one/refuse", json=text)
    assert (refused.status_code, refused.json()["expected"]) == (413, f"at most {SMALL} bytes")
    assert door.hospital.knock("one/refuse", content=Pieces(2 * SMALL)).status_code == 413  # its size is not said
    assert door.number("one") == 1


@pytest.mark.parametrize("piece", ["[],", "{},", '"",', "1,", '{"1":[""]},', '"a\\"b",'])
def test_a_large_body_with_more_values_than_any_form_is_never_parsed(
    door: Door, monkeypatch: pytest.MonkeyPatch, piece: str
) -> None:
    parsed: list[int] = []
    monkeypatch.setattr(bodies, "refuse_bad_text", lambda body: parsed.append(len(body)))
    body = "[" + piece * max(MOST_VALUES_OF_LARGE, 2 * SMALL // len(piece)) + "0]"
    answer = door.hospital.knock("one/knock", content=body.encode())
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/too-many-values")
    assert max(parsed) <= SMALL  # the token's form


def test_a_small_body_is_counted_too_and_its_findings_are_few(door: Door) -> None:
    body = "[" + "0," * MOST_VALUES + "0]"
    assert len(body) < SMALL
    answer = door.hospital.knock("one/refuse", content=body.encode())
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/too-many-values")
    answer = door.hospital._open("POST", "/v1/requests", headers=KEY, json={str(n): 0 for n in range(MOST_VALUES // 2)})
    answer.read()
    assert (answer.status_code, len(answer.json()["errors"])) == (422, 100)


def test_a_large_text_is_one_value_whatever_it_holds(door: Door) -> None:
    text = 'a,[{":\\"' * 100_000
    assert door.hospital.knock("one/knock", json={"text": text}).status_code == 200
    half = json.dumps({"text": text}).encode().replace(b'"}', b'\\ud800"}')
    answer = door.hospital.knock("one/knock", content=half)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/half-character")


class Leaping(asyncio.SelectorEventLoop):
    """A loop that waits for nothing: its time is at once that for which it would sleep."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 6000.0
        self._look, self._selector.select = self._selector.select, self._leap  # type: ignore[attr-defined]

    def time(self) -> float:
        return self._now

    def _leap(self, seconds: float | None) -> Any:
        found = self._look(0 if seconds else seconds)
        if not found and seconds:
            self._now += seconds
        return found


def test_a_slow_body_is_refused_and_a_steady_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces, pause = 4 * bodies.PATIENCE_SECONDS, 1.0

    async def read(piece: bytes) -> int:
        monkeypatch.setattr(bodies, "time", SimpleNamespace(monotonic=asyncio.get_running_loop().time))
        left = pieces

        async def receive() -> Message:
            nonlocal left
            await anyio.sleep(pause)
            left -= 1
            return {"type": "http.request", "body": piece, "more_body": left > 0}

        headers = [(b"transfer-encoding", b"chunked")]
        return len(await bodies.taken(Request({"type": "http", "method": "POST", "headers": headers}, receive), LARGE))

    def outcome(piece: bytes) -> int:
        return anyio.run(read, piece, backend_options={"loop_factory": Leaping})

    steady = b"x" * bodies.SLOWEST
    assert outcome(steady) == pieces * len(steady)
    for slow in (steady[: bodies.SLOWEST // 2], b"x"):
        with pytest.raises(BodyTooSlow):
            outcome(slow)


def test_who_hangs_up_in_the_middle_of_a_body_is_no_fault_of_ours(house: House) -> None:
    app = app_of(house)
    app.include_router(routes)
    head = "POST /v1/dataspace/transfers HTTP/1.1\r\nHost: x\r\nX-Caller: pharma\r\nIdempotency-Key: key-00000009\r\n"
    with capture_logs() as told, served(house, app) as address, socket.create_connection(address) as connection:
        connection.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
    assert told == []


def test_strangers_are_answered_while_their_bodies_are_still_to_come(house: House) -> None:
    """Whatever reads a body holds up the loop for everybody; nobody reads that of a stranger."""
    head = b"%b /v1/agreements/a/manifest HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    with served(house) as address, ExitStack() as stack:
        for method, refused in ((b"GET", 400), (b"POST", 405)) * 3:
            connection = stack.enter_context(socket.create_connection(address, timeout=60))
            connection.sendall(head % (method, LARGE) + b'{"1":{},')
            answer = stack.enter_context(closing(HTTPResponse(connection)))
            answer.begin()
            assert answer.status == refused
