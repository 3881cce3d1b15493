"""What a buyer's machine signs under its own rule: never more than the rule bounds, whatever the service serves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from marketplace.audit import documents
from marketplace.client import accepting
from marketplace.client.api import ApiClient, NotTheDocument, in_process
from marketplace.exchange.terms import UnknownTerm
from marketplace.kernel.canonical import Json, canonical, sha256_hex
from marketplace.main import create_app
from marketplace.negotiation.models import Agreement
from tests.exchange.parts import PRICE_FEN
from tests.house import House
from tests.negotiation.parts import drafted

DEAR = 10**12
RULE = {
    "purposes": ["model_training"],
    "price_at_most_fen": PRICE_FEN,
    "price_per_use_at_most_fen": 90,
    "rounds_at_most": 2,
    "counter_price_fen": None,
}
RESULTS = {
    "kind": "results", "price_fen": 10, "deposit_fen": 0, "kpi": "accuracy", "baseline_permille": 1,
    "target_permille": 2, "window_days": 9, "verifier": "prt_regulator",
}  # fmt: skip


class Forged(ApiClient):
    """A service that names and serves another document as the one that was accepted, and takes what is signed."""

    agreement: Agreement
    served: bytes
    signed: list[Mapping[str, Any]]

    def get(self, path: str, params: Any = None) -> Any:
        if path == "/v1/requests":
            listing, mine = self.agreement.listing_id, self.participant_id
            accepted = {"state": "ACCEPTED", "agreement_id": self.agreement.id}
            return {"items": [accepted | {"buyer_id": mine, "listing_id": listing}], "next": None}
        return {"document": sha256_hex(self.served)}

    def get_bytes(self, path: str, params: Any = None) -> bytes:
        return self.served

    def post(self, path: str, body: Any = None, **_: Any) -> Any:
        self.signed.append(body)
        return {"id": self.agreement.id}

    def sign_accepted(self, document: Json) -> list[Any]:
        self.served, self.signed = canonical(document), []
        return accepting.sign_accepted(self, self.agreement.listing_id, RULE)


@pytest.fixture
def service(house: House) -> Iterator[Forged]:
    url, buyer = house.runtime.settings.public_url, house.cast["pharma"]
    with in_process(create_app(house.runtime), url) as http:
        found = Forged(http, url, buyer.id, buyer.key, house.clock)
        found.agreement = drafted(house)
        yield found


def test_no_document_dearer_than_the_rule_is_signed(house: House, service: Forged) -> None:
    with house.runtime.database.reading() as db:
        honest: Json = documents.content(db, service.agreement.document)
    service.sign_accepted(honest)
    assert len(service.signed) == 1
    each, per_use = {"price_fen": 0, "price_per_use_fen": 90}, {"kind": "per_use", "price_fen": 90}
    service.sign_accepted(honest | each | {"price_plan": per_use})
    assert len(service.signed) == 1

    cheap = {"price_fen": 1, "price_per_use_fen": 0}
    free = {"price_fen": 0, "price_per_use_fen": 0}
    education = {"leftOperand": "purpose", "operator": "eq", "rightOperand": "education"}
    permission = honest["uses"]["permission"][0]
    kept = [one for one in permission["constraint"] if one["leftOperand"] != "purpose"]
    elsewhere = honest["uses"] | {"permission": [permission | {"constraint": [*kept, education]}]}
    refused: list[tuple[str, Json]] = [
        ("another price than", cheap | {"price_plan": {"kind": "one_off", "price_fen": DEAR}}),
        ("dearer", {"price_fen": DEAR, "price_plan": {"kind": "one_off", "price_fen": DEAR}}),
        ("another price than", {"price_fen": True}),
        ("another price than", free | {"price_plan": per_use | {"price_fen": DEAR}}),
        ("dearer", each | {"price_plan": per_use | {"tiers": [{"above": 1, "price_fen": DEAR}]}}),
        ("no bound", each | {"price_plan": per_use | {"monthly_minimum_fen": DEAR}}),
        ("no bound", free | {"price_plan": RESULTS}),
        ("cannot be read", {"price_plan": {"kind": "barter", "price_fen": 1}}),
        ("cannot be read", {"price_plan": None}),
        ("no purpose", {"uses": elsewhere}),
        *(("no bound", free | {"price_plan": {"kind": kind, "price_fen": 1}})
          for kind in ("per_case", "per_scan", "per_gb", "compute_hour")),
    ]  # fmt: skip
    for why, forged in refused:
        with pytest.raises(NotTheDocument, match=why):
            service.sign_accepted(honest | forged)
        assert service.signed == [], forged
    with pytest.raises(UnknownTerm):
        service.sign_accepted(honest | {"uses": {}})
    assert service.signed == []
