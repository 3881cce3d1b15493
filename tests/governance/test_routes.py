"""The journey of a provider over HTTP: declare, ask, follow, sign."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from marketplace.assets import routes as assets
from marketplace.audit.receipts import Promises
from marketplace.governance import routes as governance
from marketplace.plumbing import problems
from tests.governance.corpus import plant
from tests.governance.stage import collected, run_all
from tests.house import House

KEYS = count()


class NamedCaller(Promises):
    """An edge that believes the caller's name: authentication has tests of its own."""

    def __init__(self, house: House) -> None:
        super().__init__(house.runtime)
        self.house = house

    def judge_headers(self, request, now):
        return None

    def authenticate(self, db, request, now):
        return self.house.cast[request.headers["x-caller"]].actor

    def record_refusal(self, db, actor, route, error, now):
        return None


@pytest.fixture
def client(house: House) -> Iterator[TestClient]:
    app = FastAPI()
    app.state.runtime, app.state.gate = house.runtime, NamedCaller(house)
    app.include_router(assets.routes)
    app.include_router(governance.routes)
    problems.install(app)
    with TestClient(app) as opened:
        yield opened


def post(client: TestClient, path: str, body: dict | None = None, *, by: str = "hospital"):
    headers = {"x-caller": by, "Idempotency-Key": f"test-key-{next(KEYS):06d}"}
    return client.post(path, json=body, headers=headers)


def get(client: TestClient, path: str, *, by: str = "hospital"):
    return client.get(path, headers={"x-caller": by})


def signed(house: House, client: TestClient, prepared: dict) -> dict:
    body = get(client, f"/v1/documents/{prepared['sha256']}").content
    jws = house.cast["hospital"].key.sign_detached(body, typ=prepared["sign_as"])
    return {"document": prepared["sha256"], "jws": jws}


def test_a_provider_declares_asks_follows_and_signs(house: House, client: TestClient) -> None:
    raw = collected(house, [plant(0).body, plant(1).body, b"junk" * 50])
    made = post(client, f"/v1/versions/{raw.id}/face-declaration", {"basis": "face_not_in_field_of_view"})
    assert made.status_code == 201, made.text
    accepted = post(
        client, f"/v1/versions/{raw.id}/face-declaration/signature", signed(house, client, made.json()["prepared"])
    )
    assert accepted.json()["signed_at"], accepted.text

    asked = post(client, f"/v1/versions/{raw.id}/governance")
    assert asked.status_code == 202, asked.text
    job = asked.json()
    assert (job["state"], job["total"], job["done"], job["prepared"]) == ("queued", 3, 0, None)
    assert post(client, f"/v1/versions/{raw.id}/governance").status_code == 409

    run_all(house)
    job = get(client, f"/v1/governance-jobs/{job['id']}").json()
    assert (job["state"], job["done"], job["held_back"], job["metered"]) == ("finished", 3, 1, 2)
    held = get(client, f"/v1/governance-jobs/{job['id']}/held-back").json()
    assert [file["position"] for file in held["items"]] == [2]
    assert held["next"] is None

    record = post(
        client,
        f"/v1/versions/{job['governed_version_id']}/governance/signature",
        signed(house, client, job["prepared"]),
    )
    assert record.status_code == 200, record.text
    assert (record.json()["stage"], record.json()["signer"]) == ("governed", "prt_hospital")
    assert [item["kind"] for item in record.json()["evidence"]] == ["quality-card", "deidentification-report"]


def test_pages_of_held_back_files_follow_each_other(house: House, client: TestClient) -> None:
    raw = collected(house, [plant(0).body, *(b"junk%d" % number * 50 for number in range(5))])
    job = post(client, f"/v1/versions/{raw.id}/governance").json()["id"]
    run_all(house)
    address = f"/v1/governance-jobs/{job}/held-back?limit=2"
    pages = [get(client, address).json()]
    while following := pages[-1]["next"]:
        pages.append(get(client, f"{address}&cursor={following}").json())
    assert [[file["position"] for file in page["items"]] for page in pages] == [[1, 2], [3, 4], [5]]


def test_nobody_else_sees_a_job_or_governs_a_version(house: House, client: TestClient) -> None:
    raw = collected(house, [plant(0).body])
    job = post(client, f"/v1/versions/{raw.id}/governance").json()["id"]
    for path in (f"/v1/governance-jobs/{job}", f"/v1/governance-jobs/{job}/held-back"):
        assert get(client, path, by="pharma").status_code == 404
    assert post(client, f"/v1/versions/{raw.id}/governance", by="pharma").status_code == 404
    unknown = post(client, f"/v1/versions/{raw.id}/face-declaration", {"basis": "because"})
    assert unknown.status_code == 422
