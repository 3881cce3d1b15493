"""The transfer room tells charging what was served: which studies, how many bytes; over the real door."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from marketplace.charging import queries
from marketplace.transfer.delivery import prepare
from tests.charging.parts import agreed_on, metered
from tests.house import House
from tests.transfer.doors import app_of, with_settings

DATA = "/v1/agreements/agr_1/data"
GOOD = {"purpose": "model_training"}
PHARMA = {"X-Caller": "pharma"}


@pytest.fixture
def client(house: House) -> Iterator[TestClient]:
    agreed_on(house, {"kind": "per_case", "price_fen": 5500})
    prepare(house.runtime, "agr_1")
    with TestClient(app_of(with_settings(house, window_kib=1))) as opened:
        yield opened


def paths(client: TestClient) -> list[str]:
    manifest = client.get("/v1/agreements/agr_1/manifest", headers=PHARMA).json()
    return [one["path"] for one in manifest["content"]["files"] if one["path"].endswith(".dcm")]


def test_the_whole_delivery_charges_each_of_its_studies_once(house: House, client: TestClient) -> None:
    for _ in range(2):
        assert client.get(DATA, params=GOOD, headers=PHARMA).status_code == 200
    charged = metered(house)
    assert list(charged.values()) == [2 * 5500]  # four slices of two studies
    with house.db() as db:
        assert queries.months(db, "agr_1")[0].counted == 2


def test_single_files_charge_the_study_they_belong_to(house: House, client: TestClient) -> None:
    first, second, third, _ = paths(client)
    for path, total in ((first, 5500), (second, 5500), (third, 11_000)):
        assert client.get(f"{DATA}/{path}", params=GOOD, headers=PHARMA).status_code == 200
        assert sum(metered(house).values()) == total


def test_a_range_charges_only_the_studies_it_touches(house: House, client: TestClient) -> None:
    asked = PHARMA | {"Range": "bytes=0-600"}
    assert client.get(DATA, params=GOOD, headers=asked).status_code == 206
    assert sum(metered(house).values()) <= 5500
