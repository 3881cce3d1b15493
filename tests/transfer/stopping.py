"""A running use to be stopped, every route of the house, and what its parties are told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import jsonschema
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlmodel import select

from marketplace.audit import documents
from marketplace.audit.entry import Tag, record
from marketplace.audit.verifier import keys
from marketplace.costing.models import MeterEvent
from marketplace.kernel.canonical import sha256_hex
from marketplace.ledger.queries import imbalance
from marketplace.main import ROUTERS
from marketplace.plumbing import epochs, problems
from marketplace.plumbing.epochs import Stop
from marketplace.registration.models import Certificate
from marketplace.transfer import opening, queries
from marketplace.transfer.delivery import prepare
from marketplace.transfer.models import Transfer
from marketplace.transfer.opening import Download, Opened
from marketplace.transfer.stream import WindowSource
from marketplace.usage.models import UsageQuota
from marketplace.usage.rules import UseRequest
from tests.generated import ROOT
from tests.house import House
from tests.transfer.doors import HeaderGate, with_settings
from tests.usage.agreed import CERTIFICATE, agree, rewrite
from workers.relay import run_due

PRICE = 1500
WINDOW = 1024
WHY = {"reason": "data_incident"}
DOCUMENTS = ROOT / "contracts" / "documents"
SCHEMA = json.loads((DOCUMENTS / "stop-notice.schema.json").read_text("utf-8"))
_numbers = count()


def certificate(what: str) -> str:
    return f"/v1/certificates/{CERTIFICATE}/{what}"


def a_prepared_delivery(house: House) -> House:
    """A delivery of four slices, a certificate that can be shown, and windows of 1 KiB."""
    agree(house, price=PRICE)
    shown = json.loads((DOCUMENTS / "examples" / "valid" / "certificate.json").read_text("utf-8"))
    with house.arrange() as db:
        document = documents.keep(db, "certificate", shown, house.clock.now())
    rewrite(house, Certificate, CERTIFICATE, document=document)
    prepare(house.runtime, "agr_1")
    return with_settings(house, window_kib=WINDOW // 1024)


@contextmanager
def calling(house: House) -> Iterator[TestClient]:
    """Every route of the house, behind the door that believes a header."""
    app = FastAPI()
    app.state.runtime, app.state.gate = house.runtime, HeaderGate(house)
    problems.install(app)
    for routes in ROUTERS:
        app.include_router(routes)
    with TestClient(app) as opened:
        yield opened


def post(client: TestClient, who: str, path: str, body: dict[str, Any]) -> Response:
    headers = {"X-Caller": who, "Idempotency-Key": f"stops-{next(_numbers):04d}"}
    return client.post(path, json=body, headers=headers)


def sign_acts(client: TestClient, house: House, who: str) -> None:
    """Sign what a side has declared about the agreement; a resumption takes effect with that."""
    for act in get(client, who, "/v1/agreements/agr_1").json()["unsigned_acts"]:
        if act["party"] == house.cast[who].id:
            body = get(client, who, f"/v1/documents/{act['document']}").content
            jws = house.cast[who].key.sign_detached(body, typ="agreement-act+jws")
            sent = {"document": act["document"], "jws": jws}
            assert post(client, who, "/v1/agreements/agr_1/acts/signature", sent).json()["state"] == "signed"


def resume(client: TestClient, house: House, who: str) -> str:
    """Let uses of the agreement begin again; its state afterwards."""
    assert post(client, who, "/v1/agreements/agr_1/resumption", WHY).status_code == 200
    sign_acts(client, house, who)
    return str(get(client, who, "/v1/agreements/agr_1").json()["state"])


def get(client: TestClient, who: str, path: str, **params: str) -> Response:
    return client.get(path, headers={"X-Caller": who}, params=params)


def running(house: House, key: str | None = None) -> WindowSource:
    """A use that has sent two windows."""
    asked = Download("agr_1", UseRequest("model_training"), key=key)
    answer = opening.open_transfer(house.runtime, house.cast["pharma"].actor, asked, house.clock.now())
    assert isinstance(answer, Opened)
    source = WindowSource(house.runtime, house.cast["pharma"].actor, answer)
    assert len((source.next() or b"") + (source.next() or b"")) == 2 * WINDOW
    return source


def stop(house: House, subject: str, reason: Stop) -> str:
    """Stop what rests on a subject below every verb; the id of the entry that stands for it."""
    actor, now = house.cast["operator"].actor, house.clock.now()
    with house.db() as db:
        entry = record(db, actor, Tag.VERSION_SUSPENDED, now)
        epochs.stop(db, (subject,), reason, actor, entry, now)
    return entry


def settle(house: House) -> None:
    """Let the workers do what is due."""
    while run_due(house.runtime):
        pass


def transfers(house: House) -> list[Transfer]:
    with house.runtime.database.reading() as db:
        return list(queries.of_agreement(db, "agr_1").rows)


def told(client: TestClient, who: str = "pharma", kinds: tuple[str, ...] = ("stop-notice",)) -> list[dict[str, Any]]:
    """The notices of these kinds in a party's inbox with their content, the first one first."""
    listed = get(client, who, "/v1/stop-notices").json()["items"]
    found = [one for one in listed if one["kind"] in kinds]
    return [get(client, who, f"/v1/stop-notices/{one['id']}").json() for one in reversed(found)]


def verified(client: TestClient, who: str, notice: dict[str, Any]) -> dict[str, Any]:
    """The content of a notice, after the independent verifier's own check of its exact bytes."""
    body = get(client, who, f"/v1/documents/{notice['document']}").content
    assert sha256_hex(body) == notice["document"]
    assert json.loads(body) == notice["content"]
    jsonschema.validate(notice["content"], SCHEMA)
    (one,) = notice["signatures"]
    published = client.get("/.well-known/jwks.json").json()["keys"]
    assert one["jwk"]["x"] in {key["x"] for key in published}
    keys.check_jws(one["jws"], body, one["jwk"], typ="stop-notice+jws", kid=one["kid"], alg=one["alg"])
    with pytest.raises(keys.NotSigned):
        keys.check_jws(one["jws"], body + b" ", one["jwk"], typ="stop-notice+jws", kid=one["kid"], alg=one["alg"])
    content: dict[str, Any] = notice["content"]
    return content


def require_charged_once(house: House, served: int) -> None:
    """Quota, meter and books agree with what the windows logged."""
    with house.runtime.database.reading() as db:
        quota = db.get_one(UsageQuota, "agr_1")
        assert (quota.uses_reserved, quota.uses_settled) == (0, 1)
        assert (quota.bytes_reserved, quota.bytes_settled) == (0, served)
        (event,) = db.exec(select(MeterEvent)).all()
        assert (event.kind, event.unit_price_fen, event.quantity) == ("use.transfer", PRICE, 1)
        assert imbalance(db) == 0
