from __future__ import annotations

from datetime import datetime

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from sqlmodel import Session

from marketplace.assets.routes import routes as asset_routes
from marketplace.audit.entry import Tag, record
from marketplace.audit.receipts import Promises
from marketplace.kernel.actor import Actor
from marketplace.kernel.errors import DomainError
from marketplace.legal.routes import routes as legal_routes
from marketplace.plumbing import problems
from marketplace.registration.routes import routes as registration_routes
from tests.house import House
from tests.legal.parts import LAWYERS, governed


class Gate(Promises):
    """Who calls is said in a header here; real authentication has its own tests."""

    def __init__(self, house: House) -> None:
        super().__init__(house.runtime)
        self._house = house

    def judge_headers(self, request: Request, now: datetime) -> None:
        """Nothing is known before the body."""

    def authenticate(self, db: Session, request: Request, now: datetime) -> Actor:
        if "x-party" not in request.headers:
            raise problems.Unauthenticated("no caller")
        return self._house.cast[request.headers["x-party"]].actor

    def record_refusal(self, db: Session, actor: Actor, route: str, error: DomainError, now: datetime) -> None:
        record(db, actor, Tag.REQUEST_REFUSED, now, facts={"route": route, "reason": error.slug})


class Client:
    """A party's own side of the API: it holds its key and signs exact bytes."""

    def __init__(self, house: House) -> None:
        app = FastAPI()
        app.state.runtime, app.state.gate = house.runtime, Gate(house)
        problems.install(app)
        for routes in (asset_routes, legal_routes, registration_routes):
            app.include_router(routes)
        self.http, self.house, self.count = TestClient(app), house, 0

    def get(self, path: str, name: str | None = None):
        return self.http.get(f"/v1{path}", headers={"x-party": name} if name else {})

    def post(self, name: str, path: str, body: dict | None = None, status: int | None = None):
        self.count += 1
        headers = {"x-party": name, "Idempotency-Key": f"test-{self.count:08d}"}
        answer = self.http.post(f"/v1{path}", json=body, headers=headers)
        assert status is None or answer.status_code == status, answer.text
        return answer

    def sign(self, name: str, path: str, prepared: dict):
        body = self.get(f"/documents/{prepared['sha256']}", name).content
        jws = self.house.cast[name].key.sign_detached(body, typ=prepared["sign_as"])
        return self.post(name, path, {"document": prepared["sha256"], "jws": jws}, 200)


@pytest.fixture
def client(house: House) -> Client:
    return Client(house)


def opine(client: Client, version_id: str) -> dict:
    cited = client.get(f"/versions/{version_id}/evidence", "law_firm").json()["items"]
    proof = [item["sha256"] for item in cited]
    body = {
        "number": "EX-OP-1",
        "lawyers": LAWYERS,
        "findings": [{"item": number, "result": "met", "evidence": proof} for number in range(1, 25)],
    }
    drafted = client.post("law_firm", f"/versions/{version_id}/opinions", body, 201).json()
    return client.sign("law_firm", f"/opinions/{drafted['id']}/signature", drafted["prepared"]).json()


def test_the_story_over_http(client: Client, house: House):
    version = governed(house)
    sent = {"asset": version.asset_id, "kind": "ethics_approval", "title": "Decision", "text": "示例：同意商业使用"}
    kept = client.post("hospital", "/evidence", sent, 201).json()
    read = client.get(f"/versions/{version.id}/evidence/{kept['sha256']}", "law_firm")
    assert read.content.decode() == sent["text"]
    assert opine(client, version.id)["valid"] is True

    rights = [{"kind": kind} for kind in ("holding", "use", "operating")]
    asked = {"version": version.id, "registrar": "prt_registrar", "rights": rights, "form": {"origin": "producer"}}
    filed = client.post("hospital", "/applications", asked, 201).json()
    client.post("registrar", f"/applications/{filed['id']}/acceptance", None, 200)
    review = {"accuracy": "fits", "legality": "lawful", "clarity": "one holder"}
    noticed = client.post("registrar", f"/applications/{filed['id']}/notice", review, 200).json()
    assert [one["application_id"] for one in client.get("/notices").json()["items"]] == [filed["id"]]
    early = client.post("registrar", f"/applications/{filed['id']}/certificate", None, 409).json()
    assert early["type"] == "/problems/notice-running"
    house.clock.advance_to(datetime.fromisoformat(noticed["notice_until"]))
    ready = client.post("registrar", f"/applications/{filed['id']}/certificate", None, 200).json()
    path = f"/applications/{filed['id']}/certificate/signature"
    certificate = client.sign("registrar", path, ready["prepared"]).json()

    assert certificate["code"] == ready["code"] == "SJ9912026090001"
    assert client.get(f"/versions/{version.id}", "hospital").json()["stage"] == "certified"
    shown = client.get(f"/certificates/{ready['code']}").json()
    assert (shown["state"], len(shown["rights"]), len(shown["signatures"])) == ("valid", 3, 1)
    assert client.get(f"/certificates?sha256={version.root}").json()[0]["code"] == ready["code"]
    assert client.get(f"/certificates/{ready['code']}/document").status_code == 200


def test_the_public_check_follows_suspension_and_cancellation(client: Client, house: House):
    from tests.registration.parts import certified

    code = certified(house).code
    for verb, state in (("suspension", "suspended"), ("resumption", "valid"), ("cancellation", "cancelled")):
        client.post("registrar", f"/certificates/{code}/{verb}", {"reason": "example order"}, 200)
        answer = client.get(f"/certificates/{code}")
        assert answer.json()["state"] == state
        assert "example order" not in answer.text
    assert client.post("hospital", f"/certificates/{code}/cancellation", {"reason": "x"}).status_code == 403
    assert client.get("/certificates/SJ0000000000000").status_code == 404


def test_applications_are_seen_by_their_parties_only(client: Client, house: House):
    from tests.registration.parts import filed

    found = filed(house)
    seen = {name: client.get(f"/applications/{found.id}", name).status_code for name in house.cast}
    assert {name for name, status in seen.items() if status == 200} == {"hospital", "registrar", "auditor"}
    assert client.post("exchange", f"/applications/{found.id}/acceptance").status_code == 404
    assert client.get("/applications", "pharma").json() == {"items": [], "next": None}
    assert client.get(f"/applications/{found.id}").status_code == 401


def test_the_checklist_is_public_and_unknown_fields_are_refused(client: Client, house: House):
    found = client.get("/checklist").json()
    assert (found["id"], len(found["content"]["items"])) == ("checklist-v1", 24)
    version = governed(house)
    answer = client.post("law_firm", f"/versions/{version.id}/opinions", {"number": "1", "paid": True}, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert client.get(f"/versions/{version.id}/evidence", "pharma").status_code == 404
