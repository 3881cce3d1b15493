"""The story of a sale over HTTP: offer, listing, catalogue, request, agreement, both signatures, termination."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlmodel import select

from marketplace.assets.routes import routes as asset_routes
from marketplace.audit.models import Entry
from marketplace.exchange.catalogue_routes import routes as catalogue_routes
from marketplace.exchange.routes import routes as exchange_routes
from marketplace.negotiation.routes import routes as negotiation_routes
from marketplace.plumbing import problems
from tests.exchange.parts import PARAMETERS, certified
from tests.house import House
from tests.registration.test_routes import Gate

OFFER = {
    "template": "model-training/v1",
    "parameters": PARAMETERS,
    "price_plan": {"kind": "one_off", "price_fen": 5000000},
    "delivery_mode": "download",
    "term_days": 365,
}
WHY = {"reason": "example_reason", "note": "because"}


class Client:
    """A party's own side of the API: it holds its key and signs exact bytes."""

    def __init__(self, house: House) -> None:
        app = FastAPI()
        app.state.runtime, app.state.gate = house.runtime, Gate(house)
        problems.install(app)
        for routes in (asset_routes, exchange_routes, catalogue_routes, negotiation_routes):
            app.include_router(routes)
        self.http, self.house, self.count = TestClient(app), house, 0

    def get(self, path: str, name: str | None = None, status: int = 200) -> Any:
        answer = self.http.get(f"/v1{path}", headers={"x-party": name} if name else {})
        assert answer.status_code == status, answer.text
        return answer

    def post(self, name: str, path: str, body: Any = None, status: int = 200, key: str | None = None) -> Any:
        self.count += 1
        headers = {"x-party": name, "Idempotency-Key": key or f"test-{self.count:08d}"}
        answer = self.http.post(f"/v1{path}", json=body, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    def sign(self, name: str, path: str, sha256: str, typ: str, status: int = 200) -> Any:
        body = self.get(f"/documents/{sha256}", name).content
        jws = self.house.cast[name].key.sign_detached(body, typ=typ)
        return self.post(name, path, {"document": sha256, "jws": jws}, status)


@pytest.fixture
def client(house: House) -> Client:
    return Client(house)


def list_offer(client: Client, offer: dict[str, Any]) -> str:
    listing = client.post("hospital", f"/offers/{offer['id']}/listing", {}, 201)["id"]
    client.post("exchange", f"/listings/{listing}/review")
    prepared = client.post("exchange", f"/listings/{listing}/document")
    client.sign("exchange", f"/listings/{listing}/signature", prepared["sha256"], prepared["sign_as"])
    return listing


def test_a_sale_from_offer_to_termination(client: Client, house: House) -> None:
    version = certified(house)
    offer = client.post("hospital", f"/versions/{version.id}/offers", OFFER, 201)
    listing = list_offer(client, offer)

    page = client.get("/catalogue?q=胸部").json()
    assert [one["listing_id"] for one in page["items"]] == [listing]
    assert client.get("/catalogue?q=肺癌").json()["items"] == []
    detail = client.get(f"/catalogue/{listing}").json()
    assert detail["enforced_permille"] == offer["enforced_permille"]
    assert {one["enforcement"] for one in detail["enforcement"]} == {"enforced_here", "attested_by_buyer", "legal_only"}

    asked = {"listing": listing, "purpose": "model_training", "justification": "nodule detection"}
    request = client.post("pharma", "/requests", asked, 201, key="the-same-key")
    assert client.post("pharma", "/requests", asked, 201, key="the-same-key") == request
    client.post("hospital", f"/requests/{request['id']}/return", WHY)
    client.post("pharma", f"/requests/{request['id']}/resubmission", {"justification": "with ethics approval"})
    agreement = client.post("hospital", f"/requests/{request['id']}/approval", {}, 201)
    assert (agreement["state"], agreement["negotiation"]) == ("drafted", "OFFERED")

    path = f"/agreements/{agreement['id']}"
    first = client.sign("pharma", f"{path}/signature", agreement["document"], agreement["sign_as"])
    assert (first["state"], first["negotiation"]) == ("drafted", "ACCEPTED")
    last = client.sign("hospital", f"{path}/signature", agreement["document"], agreement["sign_as"])
    assert (last["state"], last["negotiation"], len(last["signatures"])) == ("finalized", "FINALIZED", 2)

    zh, en = (client.get(f"{path}/text?lang={lang}", "pharma") for lang in ("zh", "en"))
    assert "模型训练数据使用合同" in zh.text
    assert "Agreement on the use of data for model training" in en.text
    pdf = [client.get(f"{path}/contract.pdf", name) for name in ("pharma", "hospital", "auditor")]
    assert {one.headers["content-type"] for one in pdf} == {"application/pdf"}
    assert len({one.content for one in pdf}) == 1
    assert pdf[0].content.startswith(b"%PDF-")
    client.get(f"{path}/contract.pdf", "ai_company", 404)
    assert client.get(f"{path}/differences/{agreement['id']}", "pharma").json() == []
    client.get(f"{path}/differences/{agreement['id']}", "ai_company", 404)
    client.get(f"{path}/contract.pdf", None, 401)
    assert client.get(path, "auditor").json()["document"] == agreement["document"]
    client.get(path, "ai_company", 404)
    client.get(f"{path}/text", "ai_company", 404)
    client.get(f"/documents/{agreement['document']}", "ai_company", 404)
    assert client.get("/agreements", "pharma").json()["items"][0]["id"] == agreement["id"]
    assert client.get("/requests", "hospital").json()["items"][0]["state"] == "FINALIZED"

    ended = client.post("hospital", f"{path}/termination", WHY)
    assert (ended["state"], ended["reason"]) == ("terminated", "example_reason")


def test_a_refused_purpose_is_a_recorded_403_with_reason_codes(client: Client, house: House) -> None:
    version = certified(house)
    listing = list_offer(client, client.post("hospital", f"/versions/{version.id}/offers", OFFER, 201))
    asked = {"listing": listing, "purpose": "individual_insurance_decision", "justification": "x"}
    problem = client.post("insurer", "/requests", asked, 403)
    assert (problem["type"], problem["reasons"]) == ("/problems/access-refused", ["purpose_denied_always"])
    with house.db() as db:
        assert len(db.exec(select(Entry).where(Entry.tag == "negotiation:access_refused")).all()) == 1
    assert client.get("/requests", "insurer").json()["items"] == []


@pytest.mark.parametrize(
    ("change", "slug"),
    [
        ({"template": "other/v1"}, "unknown-template"),
        ({"parameters": PARAMETERS | {"purposes": ["marketing"]}}, "bad-parameters"),
        ({"parameters": PARAMETERS | {"resale": True}}, "bad-parameters"),
        ({"price_plan": {"kind": "subscription", "price_fen": 1, "period_days": 7}}, "plan-does-not-fit"),
        ({"price_plan": {"kind": "auction", "price_fen": 1}}, "invalid"),
        ({"price_plan": {"kind": "one_off", "price_fen": 1, "regime": "free"}}, "invalid"),
        ({"delivery_mode": "courier"}, "invalid"),
        ({"exclusive": True}, "invalid"),
    ],
)
def test_an_offer_outside_the_profile_is_a_422(client: Client, house: House, change: dict[str, Any], slug: str) -> None:
    version = certified(house)
    problem = client.post("hospital", f"/versions/{version.id}/offers", OFFER | change, 422)
    assert problem["type"] == f"/problems/{slug}"
    assert client.get("/offers", "hospital").json() == {"items": [], "next": None}


def test_only_the_owner_offers_and_strangers_cannot_probe(client: Client, house: House) -> None:
    version = certified(house)
    client.post("pharma", f"/versions/{version.id}/offers", OFFER, 404)
    offer = client.post("hospital", f"/versions/{version.id}/offers", OFFER, 201)
    client.get(f"/offers/{offer['id']}", "pharma", 404)
    client.post("exchange", f"/offers/{offer['id']}/listing", {}, 404)
    listing = client.post("hospital", f"/offers/{offer['id']}/listing", {}, 201)["id"]
    client.post("hospital", f"/listings/{listing}/review", None, 404)
    client.get(f"/catalogue/{listing}", None, 404)
    assert client.get("/listings", "exchange").json()["items"][0]["state"] == "submitted"
    client.post("exchange", f"/listings/{listing}/return", WHY)
    client.post("hospital", f"/listings/{listing}/withdrawal", WHY)
    assert client.get(f"/listings/{listing}", "hospital").json()["state"] == "withdrawn"


def test_templates_demands_and_market_references_are_shown(client: Client) -> None:
    terms = {one["name"]: one for one in client.get("/terms").json()}
    assert {"research-use/v1", "product-development/v1", "model-training/v1"} <= set(terms)
    assert terms["research-use/v1"]["title"]["zh"] == "科学研究数据使用合同"
    demand = {"title": "Chest CT wanted", "purpose": "model_training"}
    made = client.post("pharma", "/demands", demand, 201)
    assert client.get("/demands", "hospital").json()["items"] == [made]
    client.post("hospital", "/demands", demand, 403)
    assert client.get("/market-references").json() == []


def test_suspension_takes_a_listing_out_and_resumption_brings_it_back(client: Client, house: House) -> None:
    version = certified(house)
    listing = list_offer(client, client.post("hospital", f"/versions/{version.id}/offers", OFFER, 201))
    client.post("hospital", f"/listings/{listing}/suspension", WHY)
    client.get(f"/catalogue/{listing}", None, 404)
    client.post("hospital", f"/listings/{listing}/resumption", WHY, 404)
    client.post("exchange", f"/listings/{listing}/resumption", WHY)
    assert json.loads(client.get(f"/catalogue/{listing}").text)["operator_id"] == house.cast["exchange"].id
