"""What connectors elsewhere offer, asked for by a buyer here: of another instance, and of peers that lie."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from marketplace.audit.entry import Tag
from marketplace.dataspace import catalogue_door
from marketplace.dataspace.catalogues import next_link
from marketplace.dataspace.messages import CONTEXT, check_offer
from marketplace.dataspace.routes import routes
from marketplace.kernel.canonical import Json
from marketplace.kernel.signing import generate_key
from marketplace.participants import connectors
from tests.dataspace.instances import two_instances
from tests.dataspace.peer import IDENTIFIER, connector_in
from tests.exchange.parts import certified, listed
from tests.house import House
from tests.transfer.doors import PATIENCE_SECONDS, app_of, entries, with_settings

OFFER = {"@id": "offer-1", "@type": "Offer", "permission": [{"action": "use"}]}
SERVICE = {"@id": "service-1", "@type": "DataService", "endpointURL": "https://peer.example/dsp"}
DATASET = {
    "@id": "dataset-1",
    "@type": "Dataset",
    "hasPolicy": [OFFER],
    "distribution": [{"@type": "Distribution", "format": "HttpData-PULL", "accessService": SERVICE}],
}
CATALOGUE = {"@context": [CONTEXT], "@id": "c", "@type": "Catalog", "participantId": IDENTIFIER, "dataset": [DATASET]}
ERROR = {"@context": [CONTEXT], "@type": "CatalogError", "code": "too-early", "reason": ["words of somebody"]}


@dataclass
class Answering:
    """A server that answers as it is told.  asked: path and message of every call, None for a GET."""

    origin: str = ""
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    meanwhile: Callable[[], None] = lambda: None
    asked: list[tuple[str, Json | None]] = field(default_factory=list)

    def says(self, content: Any, status: int = 200, **headers: str) -> None:
        self.body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.status, self.headers = status, headers


@contextmanager
def answering_peer() -> Iterator[Answering]:
    told = Answering()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def do_GET(self) -> None:
            self._answer(None)

        def _answer(self, message: Json | None) -> None:
            told.asked.append((self.path, message))
            told.meanwhile()
            self.send_response(told.status)
            for name, value in (told.headers | {"Content-Length": str(len(told.body))}).items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(told.body)
            except OSError:
                self.close_connection = True  # whoever asked hung up

        def log_message(self, *_arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        told.origin = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield told
        finally:
            server.shutdown()
            thread.join(10)


@dataclass
class Buyer:
    """Asks over our API.  where: connector and address."""

    http: TestClient
    where: Json

    def ask(self, caller: str = "pharma", key: str = "", **asked: Any) -> Any:
        headers = {"X-Caller": caller, "Idempotency-Key": key or str(uuid4())}
        return self.http.post("/v1/dataspace/catalogues", json=self.where | asked, headers=headers)

    def problem(self, caller: str = "pharma", **asked: Any) -> tuple[int, str]:
        """Status and slug of a refusal."""
        answer = self.ask(caller, **asked)
        return answer.status_code, answer.json()["type"].rpartition("/")[2]


@contextmanager
def buying(house: House, connector_id: str, address: str) -> Iterator[Buyer]:
    app = app_of(house)
    app.include_router(routes)
    with TestClient(app) as http:
        yield Buyer(http, {"connector_id": connector_id, "address": address})


def registered(house: House, origin: str) -> str:
    asked = connector_in(house.cast["hospital"].id, generate_key(), origin, house)
    with house.db() as db:
        return connectors.register(db, house.cast["operator"].actor, asked, house.clock.now()).id


def test_a_buyer_reads_another_instances_catalogue_page_by_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_door, "PAGE", 1)
    with two_instances(tmp_path) as (hospital, buyer):
        listings = [listed(hospital.house, certified(hospital.house)).id for _ in range(2)]
        with buying(buyer.house, buyer.other.id, f"{buyer.there}/") as desk:
            first = desk.ask().json()
            second = desk.ask(next=first["next"]).json()
            alone = desk.ask(dataset=listings[0]).json()
            nothing = desk.ask(filter={"text": "no such words anywhere"}).json()
            unknown = desk.problem(dataset="lst_none")
        told = entries(buyer.house, Tag.CATALOGUE_ASKED)
        theirs = entries(hospital.house, Tag.CATALOGUE_ASKED)

    pages = [*first["datasets"], *second["datasets"]]
    assert (sorted(one["id"] for one in pages), second["next"]) == (sorted(listings), None)
    assert first["participant_id"] == hospital.here.id
    assert alone["datasets"][0]["offers"] == next(one for one in pages if one["id"] == listings[0])["offers"]
    assert all(check_offer(one["offers"][0]) and one["offers_left_out"] == 0 for one in pages)
    assert "HttpData-PULL" in pages[0]["formats"]
    assert pages[0]["described"]["dct:title"][0]["@language"] == "zh"
    assert (nothing["datasets"], unknown) == ([], (409, "peer-refused"))
    asked = {"connector": buyer.other.id, "provider": buyer.other.participant_id}
    assert ([one["facts"] for one in told], theirs) == ([asked] * 5, [])


def test_what_a_peer_answers_is_read_however_it_spells_json_ld(house: House) -> None:
    with answering_peer() as peer, buying(house, registered(house, peer.origin), f"{peer.origin}/dsp") as desk:
        lenient = DATASET | {"hasPolicy": OFFER, "distribution": DATASET["distribution"][0] | {"format": {"@id": "X"}}}
        unknown = OFFER | {"permission": [{"action": "use", "constraint": [{"leftOperand": "odd"}]}]}
        elsewhere = OFFER | {"target": "dataset-9"}
        mixed = DATASET | {"@id": "dataset-2", "hasPolicy": [unknown, OFFER, elsewhere], "size": 0.5}
        nested = {"@id": "n", "@type": "Catalog", "participantId": "other", "service": [SERVICE]}
        following = f"{peer.origin}/dsp/catalog/request?continuationToken=a,b"
        link = f'<{peer.origin}/dsp?a=1>; rel="previous", <{following}>; rel="next"'
        peer.says(CATALOGUE | {"dataset": [lenient, mixed], "catalog": nested}, Link=link)
        found = desk.ask(filter={"modality": "CT"}).json()
        desk.ask(next=found["next"], filter={"modality": "CT"})

    one, two = found["datasets"]
    assert (one["offers"], one["formats"]) == ([OFFER | {"target": "dataset-1"}], ["X"])
    assert (two["offers"], two["offers_left_out"]) == ([OFFER | {"target": "dataset-2"}], 2)
    assert two["described"] == {"size": "0.5"}, "a signed document would hold no such number"
    assert found["catalogues"] == [{"participant_id": "other", "addresses": ["https://peer.example/dsp"]}]
    assert found["next"] == following
    message = {"@context": [CONTEXT], "@type": "CatalogRequestMessage", "filter": [{"modality": "CT"}]}
    assert peer.asked == [("/dsp/catalog/request", message), ("/dsp/catalog/request?continuationToken=a,b", message)]


def test_a_peer_that_lies_or_is_silent_is_told_apart(house: House) -> None:
    with ExitStack() as stack:
        peer = stack.enter_context(answering_peer())
        where = registered(house, peer.origin), f"{peer.origin}/dsp"
        desk = stack.enter_context(buying(house, *where))
        not_a_catalogue, failed = (503, "not-a-catalogue"), (503, "outgoing-failed")
        for lie in (
            b"<html>",
            b'{"@type": "Catalog", "@type": "Catalog"}',
            b"[" * 100_000,
            b'{"size": NaN}',
            [CATALOGUE],
            CATALOGUE | {"@type": "Dataset"},
            CATALOGUE | {"@context": CONTEXT},
            CATALOGUE | {"participantId": "did:web:somebody.example"},
            CATALOGUE | {"dataset": [DATASET | {"hasPolicy": []}]},
            CATALOGUE | {"dataset": "dataset-1"},
        ):
            peer.says(lie)
            assert desk.problem() == not_a_catalogue, lie
        peer.says({"@context": [CONTEXT]} | DATASET)
        assert desk.problem(dataset="dataset-2") == not_a_catalogue
        assert desk.ask(dataset="dataset-1").json()["datasets"][0]["id"] == "dataset-1"
        peer.says(b"", 302, Location=f"{peer.origin}/elsewhere")
        assert desk.problem() == not_a_catalogue
        assert not [path for path, _ in peer.asked if path == "/elsewhere"], "no redirect is followed"

        peer.says(ERROR, 400)
        refused = desk.ask()
        assert (refused.status_code, refused.json()["got"]) == (409, "400 too-early")
        assert "somebody" not in refused.text, "its words are not passed on"
        peer.says(ERROR | {"code": "words of somebody"}, 403)
        assert desk.ask().json()["got"] == "403 no code"
        peer.says(ERROR, 500)
        assert desk.problem() == failed
        peer.says(json.dumps(CATALOGUE).encode() + b" " * (house.runtime.settings.dataspace_catalogue_kib << 10))
        assert desk.problem() == failed
        peer.says(CATALOGUE, Link='<http://127.0.0.1:1/next>; rel="next"')
        assert desk.problem(next=desk.ask().json()["next"]) == (422, "outgoing-refused")
        hung_up = threading.Event()
        peer.meanwhile = lambda: hung_up.wait(PATIENCE_SECONDS) and None
        with buying(with_settings(house, outgoing_seconds=1), *where) as hasty:
            assert hasty.problem() == failed
        hung_up.set()
    told = entries(house, Tag.CATALOGUE_ASKED)
    assert len(told) == len(peer.asked), "every question that went out is recorded, whatever was answered"


def test_only_a_trusted_connector_is_asked_by_a_buyer_at_its_registered_address(house: House) -> None:
    with answering_peer() as peer:
        connector = registered(house, peer.origin)
        with buying(house, connector, f"{peer.origin}/dsp") as desk:
            peer.says(CATALOGUE)
            assert desk.problem("hospital") == (403, "not-a-buyer")
            assert desk.problem("auditor") == (403, "read-only-role")
            assert desk.problem(connector_id="cnn_none") == (404, "no-such-connector")
            assert desk.problem(address="https://elsewhere.example/dsp") == (422, "address-not-registered")
            assert desk.problem(address="http://127.0.0.1:1/dsp") == (422, "outgoing-refused")
            assert desk.problem(next="https://elsewhere.example/dsp") == (422, "address-not-registered")
            assert desk.problem(dataset="dataset-1", next=f"{peer.origin}/dsp")[0] == 422
            assert (peer.asked, entries(house, Tag.CATALOGUE_ASKED)) == ([], [])

            now, operator = house.clock.now(), house.cast["operator"].actor

            def suspend() -> None:
                with house.db() as db:
                    connectors.suspend(db, operator, connector, "an example of a reason", now)

            peer.meanwhile = suspend  # which could not be written if the question held a transaction
            answer = desk.ask(key="one-intent")
            assert (answer.status_code, "receipt" in answer.headers) == (200, True)
            assert desk.ask(key="one-intent").json() == answer.json(), "the same intent is not asked twice"
            assert desk.problem() == (409, "connector-not-asked")
            with house.db() as db:
                connectors.reinstate(db, operator, connector, "an example of a reason", now)
            house.clock.advance(timedelta(days=31))
            assert desk.problem() == (409, "connector-not-asked")
    assert len(peer.asked) == len(entries(house, Tag.CATALOGUE_ASKED)) == 1


def test_the_same_question_twice_at_once_is_answered_twice_and_its_first_answer_stays(house: House) -> None:
    with answering_peer() as peer, buying(house, registered(house, peer.origin), peer.origin) as desk:
        met = list[Any]()

        def ask_again() -> None:
            peer.meanwhile = lambda: None
            met.append(desk.ask(key="one-intent"))
            peer.says(CATALOGUE | {"dataset": []})

        peer.says(CATALOGUE)
        peer.meanwhile = ask_again
        met.append(desk.ask(key="one-intent"))
        assert [(one.status_code, len(one.json()["datasets"])) for one in met] == [(200, 1), (200, 0)]
        assert desk.ask(key="one-intent").json() == met[0].json()
    assert len(peer.asked) == len(entries(house, Tag.CATALOGUE_ASKED)) == 2


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", None),
        ('<https://a.example/2>; rel="next"', "https://a.example/2"),
        ("<https://a.example/2>;rel=next", "https://a.example/2"),
        ('<https://a.example/1>; title="next"; rel="previous"', None),
        ('<https://a.example/1,x>; rel="previous", <https://a.example/3>; rel="last next"', "https://a.example/3"),
        ("<" * 5000 + ";" * 5000, None),
    ],
)
def test_the_next_page_is_what_the_link_with_that_relation_names(header: str, found: str | None) -> None:
    assert next_link(header) == found
