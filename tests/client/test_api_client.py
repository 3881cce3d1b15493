"""The client over the application in process and over a real socket: tokens, signatures, problems, streams."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator
from datetime import timedelta

import httpx2
import pytest
import uvicorn
from fastapi.responses import StreamingResponse

from marketplace.audit import documents
from marketplace.audit.entry import Tag
from marketplace.client import api
from marketplace.client.api import ApiClient, NotTheDocument, connect
from marketplace.client.keys import KeyFolder
from marketplace.client.problem import ProblemError
from marketplace.client.receipts import BadReceipt, ReceiptBook
from marketplace.kernel.canonical import sha256_hex
from marketplace.kernel.errors import Invalid
from marketplace.kernel.signing import generate_key, verify_detached
from marketplace.participants import service, signatures
from marketplace.plumbing.web import Verb, View, router
from tests.participants.small_market import Gate, application, open_market

DOCUMENT = {"kind": "opinion", "says": "合格"}
CHUNK = 1 << 16
more = router("test")
produced = {"chunks": 0}


@more.get("/large", response_class=StreamingResponse)
def large(view: View) -> StreamingResponse:
    def chunks() -> Iterator[bytes]:
        for _ in range(1000):
            produced["chunks"] += 1
            yield b"x" * CHUNK

    return StreamingResponse(chunks())


@more.put("/files/{name}")
async def take(verb: Verb, name: str) -> dict[str, str]:
    return {"name": name}


@more.post("/broken")
def broken(verb: Verb) -> None:
    raise RuntimeError("a secret detail")


@pytest.fixture
def market(house):
    with open_market(house, [more]) as opened:
        yield opened


@pytest.fixture
def served(house):
    """The same application behind a real socket."""
    config = uvicorn.Config(application(house.runtime, [more]), host="127.0.0.1", port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx2.Client(trust_env=False) as http:
        yield http, f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def _keep(market, document=DOCUMENT):
    with market.house.arrange() as db:
        return documents.keep(db, "opinion", document, market.house.clock.now())


def test_a_token_that_went_with_the_service_key_is_fetched_anew_and_the_request_done_once(market):
    client = market.client("hospital")
    client.get("/v1/participants")
    asked = []
    market.http.event_hooks["request"].append(lambda request: asked.append(request.url.path))
    state = market.http.app.state
    state.runtime = dataclasses.replace(market.house.runtime, service_key=generate_key())
    state.gate = Gate(state.runtime)
    assert client.get("/v1/participants")["items"]
    assert asked == ["/v1/participants", "/oauth/token", "/v1/participants"]


def test_a_token_is_used_until_shortly_before_its_end(market):
    client = market.client("hospital")
    asked = []
    market.http.event_hooks["request"].append(lambda request: asked.append(request.url.path))
    client.get("/v1/participants")
    client.get("/v1/participants")
    assert asked.count("/oauth/token") == 1
    market.house.clock.advance(timedelta(seconds=279))
    client.get("/v1/participants")
    assert asked.count("/oauth/token") == 1
    market.house.clock.advance(timedelta(seconds=1))
    client.get("/v1/participants")
    assert asked.count("/oauth/token") == 2
    market.house.clock.advance(timedelta(days=400))
    client.get("/v1/participants")
    assert asked.count("/oauth/token") == 3


@pytest.mark.parametrize("name", ["law_firm", "registrar"])
def test_a_signature_over_a_prepared_document_is_accepted(market, name):
    party = market.house.cast[name]
    document = _keep(market)
    signed = market.client(name).sign(document, "opinion")
    assert set(signed) == {"document", "jws"}
    with market.house.db() as db:
        body = documents.get(db, document).body
        accepted = signatures.accept(
            db, party.id, signed["document"], signed["jws"], typ="opinion+jws", now=market.house.clock.now()
        )
    assert accepted.kid == party.key.kid
    verify_detached(signed["jws"], body, party.key.public_jwk, typ="opinion+jws")


def test_a_signature_of_another_kind_is_not_accepted(market):
    party = market.house.cast["law_firm"]
    signed = market.client("law_firm").sign(_keep(market), "certificate")
    with market.house.runtime.database.session(write=True) as db, pytest.raises(Invalid):
        signatures.accept(
            db, party.id, signed["document"], signed["jws"], typ="opinion+jws", now=market.house.clock.now()
        )


@pytest.mark.parametrize("body", [b'{"says":"something else"}', b'{"b":1,"a":1}', b'{"a":1,"a":2}', b"[1.5]"])
def test_other_or_unclear_bytes_are_never_signed(market, body):
    def answer(request):
        if request.url.path == "/oauth/token":
            return httpx2.Response(200, json={"access_token": "t", "token_type": "DPoP", "expires_in": 300})
        return httpx2.Response(200, content=body)

    party = market.house.cast["law_firm"]
    with httpx2.Client(transport=httpx2.MockTransport(answer)) as http:
        client = ApiClient(http, market.url, party.id, party.key, market.house.clock)
        name = sha256_hex(body) if body != b'{"says":"something else"}' else "0" * 64
        with pytest.raises(Invalid) as caught:
            client.sign(name, "opinion")
    if name == "0" * 64:
        assert isinstance(caught.value, NotTheDocument)


def test_a_problem_says_what_expected_got_and_what_to_do(market):
    with pytest.raises(ProblemError) as caught:
        market.client("hospital").post("/v1/participants/prt_nobody/keys", {"jwk": {}})
    problem = caught.value
    assert (problem.status, problem.slug, problem.got) == (404, "no-such-participant", "prt_nobody")
    assert str(problem) == "404 No such participant: no participant with this id; got prt_nobody"


def test_an_unexpected_failure_is_a_problem_too_and_tells_no_secret(market):
    with pytest.raises(ProblemError) as caught:
        market.client("hospital").post("/v1/broken")
    assert caught.value.status == 500
    assert "secret" not in str(caught.value.body)


def test_an_answer_that_is_no_problem_document_is_still_readable(market):
    def answer(_request):
        return httpx2.Response(502, content=b"<html>bad gateway</html>")

    party = market.house.cast["hospital"]
    with httpx2.Client(transport=httpx2.MockTransport(answer)) as http:
        client = ApiClient(http, market.url, party.id, party.key, market.house.clock)
        with pytest.raises(ProblemError, match=r"^502 Bad Gateway$"):
            client.get("/v1/participants")


def test_a_large_answer_is_read_piece_by_piece(market):
    produced["chunks"] = 0
    with market.client("pharma").stream("/v1/large") as response:
        pieces = response.iter_bytes()
        assert next(pieces)
        assert produced["chunks"] < 50
        response.close()
    assert produced["chunks"] < 50


def test_a_refused_stream_is_a_problem(market):
    with pytest.raises(ProblemError) as caught, market.client("pharma").stream("/v1/nothing"):
        pass
    assert caught.value.status == 404


def test_a_file_is_put_under_a_name_with_odd_characters(market):
    client = market.client("hospital")
    assert client.put("/v1/files/CT%20胸部.dcm", b"DICM") == {"name": "CT 胸部.dcm"}
    assert client.put("/v1/files/a", iter([b"DI", b"CM"])) == {"name": "a"}


def test_a_client_at_another_address_than_the_public_one_gets_no_token(house, served):
    http, url = served
    # The server's public address is the audience of tokens, so a client must use that very address.
    party = house.cast["pharma"]
    stray = ApiClient(http, url, party.id, party.key, house.clock)
    with pytest.raises(ProblemError) as caught:
        stray.get("/v1/participants")
    assert (caught.value.status, caught.value.error) == (401, "invalid_client")


def test_a_client_at_the_public_address_reads_writes_and_streams_over_a_socket(house, served):
    http, url = served
    object.__setattr__(house.runtime.settings, "public_url", url)  # frozen; the port is known only now
    party = house.cast["pharma"]
    client = ApiClient(http, url, party.id, party.key, house.clock)
    assert len(client.get("/v1/participants", {"limit": 500})["items"]) == len(house.cast)
    assert client.put("/v1/files/CT%20胸部.dcm", iter([b"DICM"])) == {"name": "CT 胸部.dcm"}
    with client.stream("/v1/large") as response:
        assert sum(len(piece) for piece in response.iter_bytes()) == 1000 * CHUNK


def test_what_runs_on_this_machine_is_asked_past_the_proxy_of_the_environment(house, served, tmp_path, monkeypatch):
    _, url = served
    object.__setattr__(house.runtime.settings, "public_url", url)
    pharma, folder = house.cast["pharma"], KeyFolder(tmp_path)
    key = folder.create("pharma").key
    with house.db() as db:
        service.register_key(db, pharma.actor, pharma.id, key.public_jwk, house.clock.now())
    folder.enrol("pharma", pharma.id)
    monkeypatch.setattr(api, "SystemClock", lambda: house.clock)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with connect(url, tmp_path / "pharma") as client:
        assert len(client.get("/v1/participants")["items"]) == len(house.cast)


def test_receipts_are_checked_and_kept_in_the_own_folder(market, tmp_path):
    party = market.house.cast["hospital"]
    book = ReceiptBook(tmp_path)
    client = ApiClient(market.http, market.url, party.id, party.key, market.house.clock, receipts=book)
    key = generate_key()
    client.post(f"/v1/participants/{party.id}/keys", {"jwk": key.public_jwk})
    with pytest.raises(ProblemError):
        client.post(f"/v1/participants/{market.house.cast['pharma'].id}/keys", {"jwk": generate_key().public_jwk})
    lines = [json.loads(line) for line in book.path.read_text().splitlines()]
    assert [(line["method"], line["status"]) for line in lines] == [("POST", 201), ("POST", 403)]
    assert book.path.stat().st_mode & 0o077 == 0
    (registered,) = [one["id"] for one in market.entries(Tag.KEY_REGISTERED)]
    assert list(book.about({registered})) == [lines[0]["receipt"]]
    assert list(book.about({"ent_other"})) == []


def test_a_receipt_of_another_key_is_not_taken(market, tmp_path):
    party = market.house.cast["hospital"]
    book = ReceiptBook(tmp_path)
    client = ApiClient(market.http, market.url, party.id, party.key, market.house.clock, receipts=book)
    forged = generate_key().sign_compact(b"{}", typ="receipt+jwt")

    def replace_receipt(response):
        if "Receipt" in response.headers:
            response.headers["Receipt"] = forged

    market.http.event_hooks["response"].append(replace_receipt)
    with pytest.raises(BadReceipt):
        client.post(f"/v1/participants/{party.id}/keys", {"jwk": generate_key().public_jwk})
    assert not book.path.exists()
