"""Peers that speak the protocol and nothing beyond it: a mock identity, and contracts signed over the API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from marketplace.audit.entry import Tag
from marketplace.dataspace.messages import CONTEXT
from marketplace.dataspace.policies import rules_of
from marketplace.dataspace.states import Protocol
from marketplace.exchange.models import Listing
from marketplace.kernel.canonical import Json, read_strictly
from marketplace.main import create_app
from marketplace.negotiation import queries as negotiation
from marketplace.settings import Settings
from tests.dataspace.peer import IDENTIFIER, Peer, speaking
from tests.dataspace.schemas import problems_of
from tests.dataspace.test_doors import PRODUCTION
from tests.dataspace.test_house import ask, offer_of, pull, say, settle, started
from tests.dataspace.test_rounds import with_uses
from tests.exchange.parts import PARAMETERS, certified, listed
from tests.hostile.story import _files as put_files
from tests.house import House
from tests.negotiation.parts import approve, sign, state
from tests.negotiation.rounds.parts import offer as narrowed
from tests.transfer.doors import entries
from workers.relay import run_due

N = Protocol.NEGOTIATION
CATALOGUE = {"@context": [CONTEXT], "@type": "CatalogRequestMessage"}
MOCK = '{"audience":null,"clientId":"%s"}'


@pytest.fixture
def listing(house: House) -> Listing:
    version = certified(house)
    put_files(house, version)
    return listed(house, version)


@pytest.fixture
def peer(house: House) -> Iterator[Peer]:
    with speaking(house, mock=IDENTIFIER, signs=False) as found:
        found.authorization = MOCK % IDENTIFIER
        yield found


def test_a_peer_that_signs_nothing_gets_its_contract_when_both_have_signed_over_the_api(
    peer: Peer, listing: Listing, house: House
) -> None:
    ours = ask(peer, listing).json()["providerPid"]
    with house.runtime.database.reading() as db:
        request = negotiation.request_page(db, house.cast["pharma"].actor).rows[0]
    agreement = approve(house, request)
    assert settle(peer) == [], "it could not accept an offer, so none is made"
    sign(house, agreement, "pharma")
    assert settle(peer) == []
    sign(house, agreement, "hospital")
    run_due(house.runtime)
    peer.deliver()
    _, told, authorization = peer.heard.received.pop()
    assert (told["@type"], problems_of(told)) == ("ContractAgreementMessage", [])
    assert (told["agreement"]["assigner"], told["agreement"]["assignee"]) == (house.cast["hospital"].id, IDENTIFIER)
    said = read_strictly(authorization.encode())
    assert said == {"clientId": house.cast["hospital"].id, "audience": peer.heard.origin, "region": "any"}

    assert say(peer, N, ours, "verify", "agreement/verification").status_code == 200
    (final,) = settle(peer)
    assert (final["eventType"], peer.get(f"/negotiations/{ours}").json()["state"]) == ("FINALIZED", "FINALIZED")
    assert state(house, agreement) == ("FINALIZED", "finalized")
    _, address = started(peer, agreement.id)
    assert {"name": "endpoint", "value": address["endpoint"], "@type": "EndpointProperty"} in address[
        "endpointProperties"
    ]
    assert pull(peer, address).status_code == 200


def test_an_agreement_has_the_rules_that_both_signed_and_not_those_first_asked_for(
    peer: Peer, listing: Listing, house: House
) -> None:
    ask(peer, listing, offer=with_uses(offer_of(peer, listing), 12))
    with house.runtime.database.reading() as db:
        request = negotiation.request_page(db, house.cast["pharma"].actor).rows[0]
    agreement = narrowed(house, request, parameters=PARAMETERS | {"max_uses": 9})
    for who in ("pharma", "hospital"):
        sign(house, agreement, who)
    (told,) = settle(peer)
    assert problems_of(told) == []
    assert rules_of(told["agreement"]) == rules_of(with_uses(offer_of(peer, listing), 9))


def as_edc_sends_it(offer: Json) -> Json:
    """An offer after Eclipse EDC 0.15.1 read and wrote it: prefixes, a list as text, no profile, an assigner."""

    def said(value: Any, member: str = "") -> Any:
        match value:
            case dict():
                return {name: said(one, name) for name, one in value.items() if name != "profile"}
            case list() if member == "rightOperand":
                return json.dumps([{"@value": one} for one in value])
            case list():
                return [said(one) for one in value]
            case str() if member in {"action", "leftOperand"} and value != "use" and ":" not in value:
                return f"odrl:{value}"
            case _:
                return value

    return dict(said(offer)) | {"assigner": "prt_example"}


def test_an_offer_that_eclipse_edc_spells_in_its_own_way_is_the_same_offer(
    peer: Peer, listing: Listing, house: House
) -> None:
    asked = as_edc_sends_it(offer_of(peer, listing))
    purposes = asked["permission"][0]["constraint"][0]
    assert (purposes["leftOperand"], type(purposes["rightOperand"])) == ("odrl:purpose", str)
    narrower = asked | {"permission": [asked["permission"][0] | {"constraint": [purposes]}]}
    assert ask(peer, listing, offer=narrower).json()["code"] == "not-negotiable"

    assert ask(peer, listing, offer=asked).status_code == 201
    with house.runtime.database.reading() as db:
        request = negotiation.request_page(db, house.cast["pharma"].actor).rows[0]
    agreement = approve(house, request)
    for who in ("pharma", "hospital"):
        sign(house, agreement, who)
    (told,) = settle(peer)
    assert problems_of(told) == []
    assert told["agreement"]["@id"] == agreement.id, "the data is asked for by this id"
    assert told["agreement"]["profile"] == offer_of(peer, listing)["profile"]
    first = told["agreement"]["permission"][0]["constraint"][0]
    assert first["leftOperand"] == "odrl:purpose"
    assert first["rightOperand"] == json.loads(purposes["rightOperand"]), "a list again, which EDC compares"


def test_the_query_that_eclipse_edc_always_sends_filters_the_catalogue(peer: Peer, listing: Listing) -> None:
    query = {"@type": "QuerySpec", "limit": 50, "offset": 0, "sortOrder": "ASC", "filterExpression": []}

    def found(**changes: Any) -> Any:
        return peer.post("/catalog/request", CATALOGUE | {"filter": [query | changes]})

    def criterion(left: str, right: str, operator: str = "=") -> Json:
        return {"@type": "Criterion", "operandLeft": left, "operator": operator, "operandRight": right}

    assert [one["@id"] for one in found().json()["dataset"]] == [listing.id]
    assert "dataset" not in found(filterExpression=[criterion("modality", "ECG")]).json()
    for changes in (
        {"filterExpression": [criterion("price", "0")]},
        {"filterExpression": [criterion("modality", "CT", "like")]},
        {"filterExpression": ["modality"]},
        {"offset": 50},
        {"sortField": "price"},
    ):
        assert (found(**changes).status_code, found(**changes).json()["code"]) == (400, "bad-message"), changes


def test_nothing_is_agreed_before_both_signatures_nor_by_an_acceptance(
    peer: Peer, listing: Listing, house: House
) -> None:
    ours = ask(peer, listing).json()["providerPid"]
    with house.runtime.database.reading() as db:
        request = negotiation.request_page(db, house.cast["pharma"].actor).rows[0]
    agreement = approve(house, request)
    assert say(peer, N, ours, "accept", "events").status_code == 400
    assert say(peer, N, ours, "verify", "agreement/verification").status_code == 400
    assert peer.get(f"/negotiations/{ours}").json()["state"] == "REQUESTED"
    assert state(house, agreement) == ("OFFERED", "drafted")
    assert entries(house, Tag.AGREEMENT_FINALIZED) == []
    assert entries(house, Tag.CONNECTOR_REGISTERED)[-1]["facts"]["signs"] is False


def test_an_unsigned_header_is_believed_of_the_named_connector_alone(peer: Peer, house: House) -> None:
    assert peer.post("/catalog/request", CATALOGUE).status_code == 200
    assert peer.post("/catalog/request", CATALOGUE, Authorization=peer.header()).status_code == 200
    for header in (MOCK % "did:web:other.example", '{"clientId":null}', "{", '{"clientId":["x"]}', "{}"):
        answer = peer.post("/catalog/request", CATALOGUE, Authorization=header)
        assert (answer.status_code, answer.json()["code"]) == (401, "unknown-connector"), header
    assert peer.http.get("/readyz").json()["test_mode"] == "dataspace_mock_identity"
    plain = house.runtime.settings.model_copy(update={"dataspace_mock_identity": ""})
    with TestClient(create_app(replace(house.runtime, settings=plain))) as http:
        answer = http.post(peer.path("/catalog/request"), json=CATALOGUE, headers={"Authorization": MOCK % IDENTIFIER})
        assert (answer.status_code, answer.json()["code"]) == (401, "unknown-connector")
        assert "test_mode" not in http.get("/readyz").json()


def test_production_refuses_the_mock_identity_and_no_instance_has_two_test_modes() -> None:
    named: dict[str, Any] = dict.fromkeys(PRODUCTION, "https://x.example")
    with pytest.raises(ValueError, match="MARKETPLACE_DATASPACE_MOCK_IDENTITY"):
        Settings(environment="production", dataspace_mock_identity=IDENTIFIER, **named)
    with pytest.raises(ValueError, match="one test mode at a time"):
        Settings(dataspace_conformance=IDENTIFIER, dataspace_mock_identity=IDENTIFIER)
