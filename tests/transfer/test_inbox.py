"""Notices are also sent to an address that a participant named: until it took them once, and to public places only."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlmodel import select

from marketplace.audit.verifier import keys
from marketplace.kernel.canonical import sha256_hex
from marketplace.plumbing.outbox import MAX_ATTEMPTS
from marketplace.transfer import inbox
from marketplace.transfer.models import NoticeAddress
from tests.house import House
from tests.transfer.doors import entries, with_settings
from tests.transfer.stopping import WHY, a_prepared_delivery, calling, get, post, settle, told

ADDRESS = "/v1/participants/me/notice-address"
ANSWERS = (500, 302, 404)


@dataclass
class Box:
    """A participant's own server.  statuses: what it answers, the last one for good; got: path, headers and body."""

    statuses: list[int] = field(default_factory=lambda: [204])
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""


@contextmanager
def listening(box: Box) -> Iterator[Box]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            box.got.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(box.statuses.pop(0) if len(box.statuses) > 1 else box.statuses[0])
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    box.url = f"http://127.0.0.1:{server.server_port}/notices"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield box
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.fixture
def box() -> Iterator[Box]:
    with listening(Box()) as opened:
        yield opened


@pytest.fixture
def ready(house: House) -> House:
    return with_settings(a_prepared_delivery(house), outgoing_allow_loopback=True)


@pytest.fixture
def client(ready: House) -> Iterator[TestClient]:
    with calling(ready) as opened:
        yield opened


def put(client: TestClient, url: str, who: str = "pharma", seen: str | None = None) -> Response:
    headers = {"X-Caller": who} | ({"If-Match": seen} if seen else {})
    return client.put(ADDRESS, json={"url": url}, headers=headers)


def stop_once(client: TestClient) -> None:
    assert post(client, "hospital", "/v1/agreements/agr_1/termination", WHY).status_code == 200


def test_a_notice_is_posted_with_its_signature_and_its_acknowledgement_is_recorded(
    ready: House, client: TestClient, box: Box
) -> None:
    assert put(client, box.url).status_code == 200
    stop_once(client)
    settle(ready)

    (notice,) = told(client)
    ((path, headers, body),) = box.got
    assert (path, headers["notice-id"], headers["content-type"]) == ("/notices", notice["id"], "application/json")
    assert sha256_hex(body) == notice["document"]
    assert json.loads(body) == notice["content"]
    (one,) = notice["signatures"]
    signed = headers["notice-signature"]
    keys.check_jws(signed, body, one["jwk"], typ="stop-notice+jws", kid=one["kid"], alg=one["alg"])

    assert (notice["push"]["state"], notice["push"]["attempts"]) == ("acknowledged", 1)
    (entry,) = entries(ready, "transfer:notice_acknowledged")
    assert entry["facts"] == {
        "notice": notice["id"],
        "document": notice["document"],
        "party": "prt_pharma",
        "status": 204,
    }
    assert told(client, "hospital")[0]["push"] is None


def test_an_address_that_fails_is_asked_again_until_it_takes_the_notice_once(
    ready: House, client: TestClient, box: Box
) -> None:
    box.statuses = [*ANSWERS, 200]
    put(client, box.url)
    stop_once(client)
    for tries, status in enumerate(ANSWERS, start=1):
        settle(ready)
        push = told(client)[0]["push"]
        assert (len(box.got), push["state"], push["attempts"]) == (tries, "waiting", tries)
        assert "NoticeNotTaken" in push["last_error"]
        assert str(status) in push["last_error"]
        assert entries(ready, "transfer:notice_acknowledged") == []
        ready.clock.advance(timedelta(minutes=1))
    for _ in range(3):
        settle(ready)
        ready.clock.advance(timedelta(hours=1))
    assert len(box.got) == len(ANSWERS) + 1
    assert {sha256_hex(body) for _, _, body in box.got} == {told(client)[0]["document"]}
    assert len(entries(ready, "transfer:notice_acknowledged")) == 1


def test_an_answer_lost_in_a_crash_is_acknowledged_once(ready: House, client: TestClient, box: Box) -> None:
    put(client, box.url)
    stop_once(client)
    settle(ready)
    notice = told(client)[0]["id"]
    for _ in range(2):
        inbox.push(ready.runtime, notice, "prt_pharma")
    assert len(box.got) == len(entries(ready, "transfer:notice_acknowledged")) == 1


def test_an_address_that_never_answers_is_given_up_for_all_to_see_and_the_inbox_keeps_the_notice(
    ready: House, client: TestClient, box: Box
) -> None:
    box.statuses = [503]
    put(client, box.url)
    stop_once(client)
    for _ in range(MAX_ATTEMPTS + 2):
        settle(ready)
        ready.clock.advance(timedelta(hours=2))
    (notice,) = [one for one in told(client) if one["kind"] == "stop-notice"]
    assert (notice["push"]["state"], notice["push"]["attempts"]) == ("given_up", MAX_ATTEMPTS)
    assert [headers["notice-id"] for _, headers, _ in box.got].count(notice["id"]) == MAX_ATTEMPTS


@pytest.mark.parametrize(
    "url",
    [
        "http://inbox.buyer.example/notices",
        "https://127.0.0.1/notices",
        "https://localhost/notices",
        "https://169.254.169.254/latest",
        "https://user:word@inbox.buyer.example/",
        "https://inbox.buyer.example:8443/",
        "ftp://inbox.buyer.example/",
        "not an address",
    ],
)
def test_only_a_public_https_address_is_taken(house: House, url: str) -> None:
    with calling(a_prepared_delivery(house)) as client:
        refused = put(client, url)
        assert (refused.status_code, refused.json()["type"]) == (422, "/problems/outgoing-refused")
        assert client.get(ADDRESS, headers={"X-Caller": "pharma"}).status_code == 404
    assert entries(house, "transfer:notice_address_set") == []


def test_an_address_is_changed_and_removed_only_by_who_saw_it(ready: House, client: TestClient, box: Box) -> None:
    first = put(client, "https://inbox.buyer.example/a")
    assert first.json()["url"] == "https://inbox.buyer.example/a"
    assert put(client, "https://inbox.buyer.example/b").status_code == 409
    assert put(client, "https://inbox.buyer.example/b", seen='"another"').status_code == 409
    second = put(client, box.url, seen=first.headers["ETag"])
    assert second.headers["ETag"] != first.headers["ETag"]
    shown = get(client, "pharma", ADDRESS)
    assert (shown.json()["url"], shown.headers["ETag"]) == (box.url, second.headers["ETag"])
    assert get(client, "hospital", ADDRESS).status_code == 404

    for seen, status in ((None, 409), (first.headers["ETag"], 409), (second.headers["ETag"], 204), (None, 204)):
        headers = {"X-Caller": "pharma"} | ({"If-Match": seen} if seen else {})
        assert client.delete(ADDRESS, headers=headers).status_code == status
    assert len(entries(ready, "transfer:notice_address_set")) == 2
    assert len(entries(ready, "transfer:notice_address_removed")) == 1
    stop_once(client)
    settle(ready)
    assert box.got == []
    assert told(client)[0]["push"] is None


def test_no_address_enters_the_log(ready: House, client: TestClient) -> None:
    put(client, "https://inbox.buyer.example/secret-path?token=opensesame")
    stop_once(client)
    (entry,) = entries(ready, "transfer:notice_address_set")
    assert entry["facts"] == {"address_sha256": sha256_hex(b"https://inbox.buyer.example/secret-path?token=opensesame")}
    assert "opensesame" not in json.dumps(entries(ready, *{"transfer:stop_notified", "transfer:notice_address_set"}))


def test_an_address_removed_while_a_notice_waits_ends_the_sending(ready: House, client: TestClient, box: Box) -> None:
    box.statuses = [500]
    etag = put(client, box.url).headers["ETag"]
    stop_once(client)
    settle(ready)
    assert client.delete(ADDRESS, headers={"X-Caller": "pharma", "If-Match": etag}).status_code == 204
    ready.clock.advance(timedelta(minutes=1))
    settle(ready)
    assert len(box.got) == 1
    assert told(client)[0]["push"]["state"] == "not_sent"
    with ready.runtime.database.reading() as db:
        assert db.exec(select(NoticeAddress)).all() == []
