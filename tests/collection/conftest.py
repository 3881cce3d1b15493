from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from marketplace.client.api import ApiClient, in_process
from marketplace.main import create_app
from tests.collection import corpus
from tests.house import House

FORM = {
    "name": "胸部CT示例数据集", "name_en": "Chest CT example set", "overview": "示例", "overview_en": "An example",
    "region": "华东", "time_from": "2020-01-01", "time_to": "2024-12-31", "modality": "CT", "body_part": "CHEST",
}  # fmt: skip


@dataclass
class Market:
    """The house over HTTP, one client for each party, one asset of the hospital."""

    house: House
    clients: dict[str, ApiClient]
    asset: str = ""

    @property
    def hospital(self) -> ApiClient:
        return self.clients["hospital"]

    def version(self) -> str:
        return str(self.hospital.post(f"/v1/assets/{self.asset}/versions")["id"])

    def put(self, version: str, batch: str, members: list[Any], who: str = "hospital") -> dict[str, Any]:
        answer: dict[str, Any] = self.clients[who].put(f"/v1/versions/{version}/files/{batch}", corpus.tar(members))
        return answer

    def reasons(self, version: str, batch: str, members: list[Any]) -> list[str | None]:
        return [file["reason"] for file in self.put(version, batch, members)["files"]]

    def seal(self, version: str, **asked: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.hospital.post(f"/v1/versions/{version}/seal", asked)
        return answer


@pytest.fixture
def market(house: House) -> Iterator[Market]:
    url = house.runtime.settings.public_url
    with in_process(create_app(house.runtime), url, raise_server_exceptions=True) as http:
        clients = {name: ApiClient(http, url, party.id, party.key, house.clock) for name, party in house.cast.items()}
        opened = Market(house, clients)
        opened.asset = clients["hospital"].post("/v1/assets", FORM)["id"]
        yield opened
