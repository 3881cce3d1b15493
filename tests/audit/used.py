"""Real uses of an agreement over HTTP, integrated into a cosigned tree, for the tests of reports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from fastapi import Request
from fastapi.testclient import TestClient
from sqlmodel import Session, col, select

from marketplace.audit import documents
from marketplace.audit import routes as audit
from marketplace.audit.entry import Tag, record
from marketplace.audit.models import Entry
from marketplace.kernel.actor import Actor
from marketplace.kernel.ids import new_id
from marketplace.transfer.delivery import prepare
from tests.audit.hatched import HatchedProcesses
from tests.house import House
from tests.transfer.doors import HeaderGate, app_of, with_settings
from tests.usage.agreed import agree, uses
from workers.tasks.audit import integrate_once

PERSON = "Dr. Wu, radiology"
DATA = "/v1/agreements/agr_1/data"


class PersonGate(HeaderGate):
    """Also takes `X-Person`: who acts for the caller."""

    def authenticate(self, db: Session, request: Request, now: datetime) -> Actor:
        return replace(super().authenticate(db, request, now), person=request.headers.get("x-person"))


@dataclass
class Used:
    """A house whose log holds uses; the audit routes behind a door that believes headers."""

    house: House
    client: TestClient
    log: HatchedProcesses

    def use(self, purpose: str = "model_training", status: int = 200, **headers: str) -> bytes:
        answer = self.client.get(DATA, params={"purpose": purpose}, headers={"X-Caller": "pharma"} | headers)
        assert answer.status_code == status, answer.text
        return answer.content

    def integrate(self) -> int:
        return integrate_once(self.house.runtime, self.log).checkpoint

    def get(self, who: str, path: str, status: int = 200, **more: Any) -> Any:
        answer = self.client.get(path, headers={"X-Caller": who}, **more)
        assert answer.status_code == status, answer.text
        return answer

    def post(self, who: str, path: str, body: Any, status: int = 200, **headers: str) -> Any:
        headers = {"X-Caller": who, "Idempotency-Key": new_id("key")} | headers
        answer = self.client.post(path, json=body, headers=headers)
        assert answer.status_code == status, answer.text
        return answer

    def entries(self, *tags: str) -> list[dict[str, Any]]:
        with self.house.runtime.database.reading() as db:
            rows = db.exec(select(Entry).where(col(Entry.tag).in_(tags)).order_by(Entry.id)).all()
            return [json.loads(row.body) | {"index": row.leaf_index} for row in rows]


@contextmanager
def open_used(house: House) -> Iterator[Used]:
    """Three uses of pharma (one by a person), one refused, all cosigned, a day apart."""
    agree(house, uses(count=10))
    with house.db() as db:
        operator, now = house.cast["operator"].actor, house.clock.now()
        for name in ("hospital", "pharma"):
            facts = {"participant": f"prt_{name}", "legal_name": f"=Example {name}", "credit_code": f"CODE{name}"}
            record(db, operator, Tag.PARTICIPANT_ADMITTED, now, facts=facts)
        record(db, house.cast["hospital"].actor, Tag.ASSET_REGISTERED, now, asset="ast_1")
        parties = {"provider": {"id": "prt_hospital"}, "buyer": {"id": "prt_pharma"}}
        document = documents.keep(db, "agreement", {"id": "agr_1", "parties": parties}, now)
        about = {"asset": "ast_1", "agreement": "agr_1", "facts": {"document": document}}
        record(db, house.cast["pharma"].actor, Tag.AGREEMENT_FINALIZED, now, **about)
    prepare(house.runtime, "agr_1")
    house = with_settings(house, window_kib=1)
    app = app_of(house)
    app.state.gate = PersonGate(house)
    app.include_router(audit.routes)
    with HatchedProcesses(house.runtime.settings) as log, TestClient(app) as client:
        used = Used(house, client, log)
        used.use()
        house.clock.advance(timedelta(days=1))
        used.use("statistics", **{"X-Person": PERSON})
        house.clock.advance(timedelta(days=1))
        used.use("marketing", status=403)
        path = client.get("/v1/agreements/agr_1/manifest", headers={"X-Caller": "pharma"}).json()["content"]["files"][0]
        one = client.get(f"{DATA}/{path['path']}", params={"purpose": "statistics"}, headers={"X-Caller": "pharma"})
        assert one.status_code == 200, one.text
        used.integrate()
        yield used
