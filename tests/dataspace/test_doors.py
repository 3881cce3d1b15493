"""The doors of the protocol: who is let in, typed errors for everything else, repeats with one effect."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from marketplace.audit.entry import Tag
from marketplace.dataspace import conformance
from marketplace.dataspace.messages import CONTEXT
from marketplace.dataspace.states import Protocol
from marketplace.exchange import queries as exchange_queries
from marketplace.exchange import service as exchange
from marketplace.exchange.models import Listing
from marketplace.kernel.canonical import Json
from marketplace.kernel.signing import generate_key
from marketplace.main import create_app
from marketplace.participants import connectors, service
from marketplace.settings import Settings
from tests.dataspace.peer import IDENTIFIER, Peer, message
from tests.dataspace.schemas import problems_of
from tests.exchange.parts import WHY, certified, listed, terms_of
from tests.house import House
from tests.transfer.doors import entries

N, T = Protocol.NEGOTIATION, Protocol.TRANSFER
CATALOGUE = {"@context": [CONTEXT], "@type": "CatalogRequestMessage"}
DOORS = [
    ("POST", "/catalog/request", "CatalogError"),
    ("GET", "/catalog/request", "CatalogError"),
    ("GET", "/catalog/datasets/x", "CatalogError"),
    ("POST", "/negotiations/request", "ContractNegotiationError"),
    ("POST", "/negotiations/offers", "ContractNegotiationError"),
    ("GET", "/negotiations/x", "ContractNegotiationError"),
    ("POST", "/negotiations/x/events", "ContractNegotiationError"),
    ("POST", "/negotiations/x/agreement/verification", "ContractNegotiationError"),
    ("POST", "/transfers/request", "TransferError"),
    ("GET", "/transfers/x", "TransferError"),
    ("POST", "/transfers/x/start", "TransferError"),
]


def request(peer: Peer, listing: Listing, **changes: Any) -> Json:
    offer = peer.get(f"/catalog/datasets/{listing.id}").json()["hasPolicy"][0] | {"target": listing.id}
    content = {"consumerPid": "urn:peer:1", "callbackAddress": peer.heard.origin, "offer": offer} | changes
    return message(N, "request", **{name: value for name, value in content.items() if value is not None})


def refused(answer: Any, status: int, kind: str) -> str:
    """The code of a typed error."""
    assert (answer.status_code, answer.json()["@type"]) == (status, kind), answer.text
    assert problems_of(answer.json()) == []
    return str(answer.json()["code"])


def test_every_door_but_the_version_document_is_closed_to_strangers(peer: Peer) -> None:
    for method, path, kind in DOORS:
        answer = peer.http.request(method, peer.path(path), json={} if method == "POST" else None)
        assert refused(answer, 401, kind) == "unknown-connector"
        assert answer.headers["www-authenticate"]
    assert peer.http.get(peer.path("/data/x")).status_code == 401
    assert peer.http.get(peer.path("/.well-known/dspace-version")).status_code == 200


def test_another_method_or_place_is_no_door(peer: Peer) -> None:
    for method, path, status, there in (
        ("HEAD", "/negotiations/x", 405, "GET"),
        ("PUT", "/negotiations/request", 405, "POST"),
        ("DELETE", "/transfers/x/start", 405, "POST"),
        ("GET", "/nowhere", 404, None),
    ):
        answer = peer.http.request(method, peer.path(path))
        assert (answer.status_code, answer.headers.get("allow")) == (status, there)
        assert answer.headers["content-type"] == "application/json"
        assert method == "HEAD" or set(answer.json()) == {"detail"}


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://elsewhere.example/dsp/x/2025-1"},
        {"iss": "did:web:other.example"},
        {"sub": "did:web:other.example"},
        {"exp": 1},
        {"iat": 2**33, "exp": 2**33 + 60},
        {"exp": 2**33},
        {"jti": ""},
    ],
)
def test_a_token_with_a_wrong_claim_opens_nothing(peer: Peer, changes: Json) -> None:
    answer = peer.post("/catalog/request", CATALOGUE, Authorization=peer.header(**changes))
    assert refused(answer, 401, "CatalogError") == "unknown-connector"


def test_a_token_of_another_key_or_shown_twice_opens_nothing(peer: Peer) -> None:
    once = peer.header()
    assert peer.post("/catalog/request", CATALOGUE, Authorization=once).status_code == 200
    assert peer.post("/catalog/request", CATALOGUE, Authorization=once).status_code == 401
    peer.key = generate_key()
    assert peer.post("/catalog/request", CATALOGUE).status_code == 401


def test_a_suspended_or_expired_connector_and_one_of_a_suspended_party_are_refused(peer: Peer, house: House) -> None:
    operator = house.cast["operator"].actor
    with house.db() as db:
        connectors.suspend(db, operator, peer.connector.id, "an incident", house.clock.now())
    assert refused(peer.post("/catalog/request", CATALOGUE), 401, "CatalogError") == "connector-refused"
    with house.db() as db:
        connectors.reinstate(db, operator, peer.connector.id, "it is over", house.clock.now())
        service.suspend(db, operator, house.cast["pharma"].id, "an incident", house.clock.now())
    assert refused(peer.post("/catalog/request", CATALOGUE), 401, "CatalogError") == "connector-refused"
    with house.db() as db:
        service.reinstate(db, operator, house.cast["pharma"].id, "it is over", house.clock.now())
    assert peer.post("/catalog/request", CATALOGUE).status_code == 200
    house.clock.advance(timedelta(days=31))
    assert refused(peer.post("/catalog/request", CATALOGUE), 401, "CatalogError") == "connector-refused"


def test_who_is_not_hosted_here_is_not_there(peer: Peer, house: House) -> None:
    for nobody in ("prt_nobody", house.cast["auditor"].id):
        peer.hosted = nobody
        assert refused(peer.post("/catalog/request", CATALOGUE), 404, "CatalogError") == "not-hosted"
        assert refused(peer.get("/.well-known/dspace-version"), 404, "CatalogError") == "not-hosted"


@pytest.mark.parametrize(
    "changes",
    [
        {"@context": CONTEXT},
        {"@context": ["https://elsewhere.example/context"]},
        {"@type": "ContractOfferMessage"},
        {"consumerPid": None},
        {"consumerPid": 5},
        {"callbackAddress": None},
        {"providerPid": "urn:peer:1"},
        {"offer": {"@id": "x", "@type": "Offer", "target": "x"}},
        {"offer": {"@id": "x", "@type": "Offer", "target": "x", "permission": [{"action": "use", "target": "x"}]}},
        {"offer": {"@id": "x", "@type": "Offer", "permission": [{"action": "use"}]}},
    ],
)
def test_what_is_no_message_gets_400_and_a_typed_error(peer: Peer, house: House, changes: Json) -> None:
    listing = listed(house)
    answer = peer.post("/negotiations/request", request(peer, listing, **changes))
    assert refused(answer, 400, "ContractNegotiationError") in {"bad-message", "other-process"}
    assert entries(house, Tag.EXCHANGE_OPENED, Tag.ACCESS_REQUESTED) == []


def test_what_is_no_json_gets_400_too(peer: Peer) -> None:
    for body in (b"", b"[]", b"{", b'{"a":1,"a":2}', b'{"a":1.5}', b'{"a":"\\u0000"}'):
        answer = peer.http.post(peer.path("/transfers/request"), content=body, headers={"Authorization": peer.header()})
        assert answer.status_code == 400, (body, answer.text)
        assert answer.json().get("@type", "TransferError") == "TransferError"


def test_only_registered_addresses_are_taken_as_callback(peer: Peer, house: House) -> None:
    listing = listed(house)
    port = peer.heard.port
    for address in (
        f"http://localhost:{port}",
        f"http://127.0.0.1:{port + 1}",
        f"https://127.0.0.1:{port}",
        f"http://127.0.0.1:{port}@elsewhere.example",
        "https://elsewhere.example/",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
    ):
        answer = peer.post("/negotiations/request", request(peer, listing, callbackAddress=address))
        assert refused(answer, 400, "ContractNegotiationError") in {"address-not-registered", "outgoing-refused"}
    assert entries(house, Tag.EXCHANGE_OPENED) == []
    assert peer.heard.received == []


def test_the_same_request_again_is_the_same_negotiation(peer: Peer, house: House) -> None:
    listing = listed(house)
    first, again = request(peer, listing), request(peer, listing)
    answers = [peer.post("/negotiations/request", one).json() for one in (first, first, again)]
    assert len({one["providerPid"] for one in answers}) == 1
    assert len(entries(house, Tag.EXCHANGE_OPENED)) == len(entries(house, Tag.ACCESS_REQUESTED)) == 1


def test_a_repeated_move_has_one_effect_and_a_new_one_out_of_turn_none(peer: Peer, house: House) -> None:
    ours = peer.post("/negotiations/request", request(peer, listed(house))).json()["providerPid"]
    end = message(N, "terminate", providerPid=ours, consumerPid="urn:peer:1")
    assert [peer.post(f"/negotiations/{ours}/termination", end).status_code for _ in range(2)] == [200, 200]
    assert len(entries(house, Tag.REQUEST_WITHDRAWN)) == 1
    other = message(N, "terminate", providerPid=ours, consumerPid="urn:peer:1")
    assert (
        refused(peer.post(f"/negotiations/{ours}/termination", other), 400, "ContractNegotiationError") == "wrong-state"
    )
    assert entries(house, Tag.REQUEST_REFUSED)[-1]["facts"]["reason"] == "wrong-state"


def test_a_message_for_another_process_is_refused(peer: Peer, house: House) -> None:
    ours = peer.post("/negotiations/request", request(peer, listed(house))).json()["providerPid"]
    for ids in ({"providerPid": "urn:x", "consumerPid": "urn:peer:1"}, {"providerPid": ours, "consumerPid": "urn:x"}):
        answer = peer.post(f"/negotiations/{ours}/termination", message(N, "terminate", **ids))
        assert refused(answer, 400, "ContractNegotiationError") == "other-process"
    assert peer.get(f"/negotiations/{ours}").json()["state"] == "REQUESTED"


def test_the_exchanges_of_others_are_not_there(peer: Peer, house: House) -> None:
    ours = peer.post("/negotiations/request", request(peer, listed(house))).json()["providerPid"]
    assert refused(peer.get(f"/transfers/{ours}"), 404, "TransferError") == "no-such-exchange"
    peer.hosted = house.cast["pharma"].id
    assert refused(peer.get(f"/negotiations/{ours}"), 404, "ContractNegotiationError") == "no-such-exchange"


def test_a_catalogue_is_filtered_and_comes_in_pages(peer: Peer, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marketplace.dataspace.catalogue_door.PAGE", 1)
    there = {listed(house).id, listed(house).id}
    first = peer.post("/catalog/request", CATALOGUE)
    assert problems_of(first.json()) == []
    link = first.headers["link"].partition(">")[0][1:]
    second = peer.http.get(link, headers={"Authorization": peer.header()})
    assert set(second.links) == {"previous"}
    again = peer.http.get(second.links["previous"]["url"], headers={"Authorization": peer.header()})
    assert (again.json(), again.links) == (first.json(), first.links)
    assert {one["@id"] for page in (first, second) for one in page.json()["dataset"]} == there
    none = peer.post("/catalog/request", CATALOGUE | {"filter": [{"modality": "ECG"}]}).json()
    assert problems_of(none) == []
    assert "dataset" not in none
    unknown = peer.post("/catalog/request", CATALOGUE | {"filter": [{"price": "0"}]})
    assert refused(unknown, 400, "CatalogError") == "bad-message"


def test_the_catalogue_of_a_participant_shows_its_own_listings_only(peer: Peer, house: House) -> None:
    listing = listed(house)
    peer.hosted = house.cast["pharma"].id
    assert "dataset" not in peer.post("/catalog/request", CATALOGUE).json()
    assert refused(peer.get(f"/catalog/datasets/{listing.id}"), 404, "CatalogError") == "not-in-catalogue"


def test_the_conformance_mode_is_off_unless_it_was_started_for_it(peer: Peer, house: House) -> None:
    assert "test_mode" not in peer.http.get("/readyz").json()
    assert peer.http.post(f"/dsp/{peer.hosted}/conformance/negotiations", json={}).status_code == 404
    kit = peer.post("/catalog/request", CATALOGUE, Authorization=conformance.KIT)
    assert refused(kit, 401, "CatalogError") == "unknown-connector"
    assert peer.get("/catalog/datasets/CAT0101").status_code == 404
    settings = house.runtime.settings.model_copy(update={"dataspace_conformance": IDENTIFIER})
    with TestClient(create_app(replace(house.runtime, settings=settings))) as http:
        assert http.get("/readyz").json()["test_mode"] == "dataspace_conformance"


PRODUCTION = (
    "database_url",
    "redis_url",
    "log_signer_url",
    "witness_url",
    "log_signer_public_key",
    "witness_public_key",
    "object_store_url",
    "policy_publisher_key",
)


def test_private_offers_are_shown_and_sold_to_their_buyer_alone(peer: Peer, house: House) -> None:
    version = certified(house)
    others = listed(house, version, buyers=[house.cast["ai_company"].id])
    ours = listed(house, version, buyers=[house.cast["pharma"].id])
    insurers = listed(house, version, **terms_of("insurance-actuarial/v1"))
    public = listed(house, version)
    shown = peer.post("/catalog/request", CATALOGUE).json()["dataset"]
    assert [one["@id"] for one in shown] == [ours.id, public.id]
    assert peer.get(f"/catalog/datasets/{others.id}").status_code == 404
    offer = peer.get(f"/catalog/datasets/{ours.id}").json()["hasPolicy"][0]
    for target, status in ((others, 404), (ours, 201)):
        content = {"consumerPid": f"urn:peer:{target.id}", "callbackAddress": peer.heard.origin}
        said = message(N, "request", offer=offer | {"target": target.id}, **content)
        assert peer.post("/negotiations/request", said).status_code == status
    assert insurers.id not in {one["@id"] for one in shown}


def test_private_offers_come_first_page_by_page(peer: Peer, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marketplace.dataspace.catalogue_door.PAGE", 1)
    version, seen, link = certified(house), [], "/catalog/request"
    private = [listed(house, version, buyers=[house.cast["pharma"].id]).id for _ in range(2)]
    public = [listed(house, version).id for _ in range(2)]
    back: list[str] = []
    while link:
        answer = peer.get(link)
        seen += [one["@id"] for one in answer.json()["dataset"]]
        link = _linked(answer, "next")
    assert seen == [*reversed(private), *reversed(public)]
    link = _linked(answer, "previous")
    while link:
        answer = peer.get(link)
        back += [one["@id"] for one in reversed(answer.json()["dataset"])]
        link = _linked(answer, "previous")
    assert back == [*reversed(seen[: len(back)])]
    assert len(back) == len(seen) - 1, "every page but the last, in which this began"


def _linked(answer: Any, name: str) -> str:
    return "/catalog" + answer.links[name]["url"].partition("/catalog")[2] if name in answer.links else ""


def test_an_exchange_names_the_catalogues_of_the_providers_here(peer: Peer, house: House) -> None:
    listing, exchange = listed(house), house.cast["exchange"].id
    own = f"{peer.base}#catalogue"
    peer.hosted = exchange
    answer = peer.post("/catalog/request", CATALOGUE)
    assert (answer.status_code, problems_of(answer.json())) == (200, [])
    nested = {one["@id"]: one for one in answer.json()["catalog"]}
    assert own in nested
    assert all(one["distribution"][0]["accessService"] == one["service"][0]["@id"] for one in nested.values())
    assert house.cast["pharma"].id not in {one["participantId"] for one in nested.values()}
    assert "catalog" not in peer.post("/catalog/request", CATALOGUE | {"filter": [{"modality": "CT"}]}).json()
    peer.hosted = nested[own]["participantId"]
    assert nested[own]["service"][0]["endpointURL"] == peer.base
    shown = peer.post("/catalog/request", CATALOGUE).json()
    assert ([one["@id"] for one in shown["dataset"]], "catalog" in shown) == ([listing.id], False)
    peer.hosted = exchange
    content = {"consumerPid": "urn:peer:1", "callbackAddress": peer.heard.origin}
    offer = shown["dataset"][0]["hasPolicy"][0] | {"target": listing.id}
    said = message(N, "request", offer=offer, **content)
    assert refused(peer.post("/negotiations/request", said), 404, "ContractNegotiationError") == "not-hosted"


def test_production_refuses_the_conformance_mode() -> None:
    named: dict[str, Any] = dict.fromkeys(PRODUCTION, "https://x.example")
    Settings(environment="production", **named)
    with pytest.raises(ValueError, match="MARKETPLACE_DATASPACE_CONFORMANCE"):
        Settings(environment="production", dataspace_conformance=IDENTIFIER, **named)


def test_a_catalogue_that_is_held_is_not_sent_again(peer: Peer, house: House) -> None:
    listing = listed(house)
    for path in ("/catalog/request", f"/catalog/datasets/{listing.id}"):
        first = peer.get(path)
        held = {"If-None-Match": first.headers["etag"]}
        assert (peer.get(path, **held).status_code, peer.get(path, **held).content) == (304, b"")
        asked = peer.post("/catalog/request", CATALOGUE, **held)
        assert (asked.status_code, "etag" in asked.headers) == (200, False), "a message is no repeated reading"
    held = {"If-None-Match": peer.get("/catalog/request").headers["etag"]}
    with house.db() as db:
        found = exchange_queries.listing(db, listing.id)
        exchange.suspend(db, house.cast["exchange"].actor, found, WHY, house.clock.now())
    answer = peer.get("/catalog/request", **held)
    assert (answer.status_code, "dataset" in answer.json()) == (200, False)


def test_a_peer_that_asks_for_a_longer_page_gets_it_while_it_is_read(
    peer: Peer, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("dataspace.catalogue_door.PAGE", "dataspace.catalogue_door.MAX_PAGE", "dataspace.house.MAX_PAGE"):
        monkeypatch.setattr(f"marketplace.{place}", 1)
    monkeypatch.setattr("marketplace.exchange.catalogue.MAX_PAGE", 1)
    version = certified(house)
    private = [listed(house, version, buyers=[house.cast["pharma"].id]).id for _ in range(2)]
    public = [listed(house, version).id for _ in range(3)]
    query = {"@type": "QuerySpec", "limit": 2, "offset": 0, "filterExpression": []}
    first = peer.post("/catalog/request", CATALOGUE | {"filter": [query]})
    assert problems_of(first.json()) == []
    assert "content-length" not in first.headers
    second = peer.get(_linked(first, "next"))
    assert [[one["@id"] for one in page.json()["dataset"]] for page in (first, second)] == [
        [*reversed(private), *reversed(public[1:])],
        [public[0]],
    ]
    assert set(second.links) == {"previous"}
    whole = peer.get("/catalog/request?limit=100").json()["dataset"]
    assert [one["@id"] for one in whole] == [*reversed(private), *reversed(public)]
