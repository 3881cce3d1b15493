"""The transfer room tells charging what was served: which studies, how many bytes; over the real door."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import select

from marketplace.audit.entry import Tag
from marketplace.charging import queries
from marketplace.charging.preview import preview
from marketplace.charging.recheck import recheck
from marketplace.costing.models import MeterEvent
from marketplace.exchange.pricing import Month
from marketplace.negotiation import queries as negotiation
from marketplace.transfer import rules
from marketplace.transfer.delivery import prepare
from marketplace.transfer.measuring import uncovered
from tests.charging.parts import agreed_on, metered
from tests.house import House
from tests.settlement.parts import balance, imbalance, post
from tests.transfer.doors import app_of, entries, with_settings

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


PER_GB = {"kind": "per_gb", "price_fen": 10**13}  # a byte costs 100 yuan: what tests move is small


def by_the_byte(house: House) -> int:
    return sum(metered(house).values()) // 10**4


def test_bytes_are_charged_once_in_a_use_however_often_it_is_resumed_or_repeated(house: House) -> None:
    agreed_on(house, PER_GB)
    prepare(house.runtime, "agr_1")
    key = PHARMA | {"Idempotency-Key": "use-number-1"}
    with TestClient(app_of(with_settings(house, window_kib=1))) as client:
        first = client.get(DATA, params=GOOD, headers=key | {"Range": "bytes=0-999"})
        size = int(first.headers["Content-Range"].rpartition("/")[2])
        promised = client_price(house, size)
        charged = []
        for asked in (
            {"Range": "bytes=500-1499"},
            {"Range": "bytes=0-1499"},
            {"Range": "bytes=1500-"},
            {"Range": "bytes=2000-"},
        ):
            assert client.get(DATA, params=GOOD, headers=key | asked).status_code in {200, 206}
            charged.append(by_the_byte(house))
        assert charged == [1500, 1500, size, size]
        assert sum(metered(house).values()) == promised
        assert client.get(DATA, params=GOOD, headers=PHARMA).status_code == 200  # another use
        assert by_the_byte(house) == 2 * size
    with house.db() as db:
        (month,) = queries.months(db, "agr_1")
        assert (month.counted, month.charged_fen) == (2 * size, 2 * promised)
        assert [f for f in recheck(db) if f.table == "monthly_charge"] == []


def client_price(house: House, size: int) -> int:
    """What the whole was said to cost before anything was used."""
    with house.db() as db:
        plan = queries.signed_plan(db, negotiation.agreement(db, "agr_1"))
    return preview(plan, Month(), size, house.clock.now()).charge.amount_fen


def test_gigabytes_that_left_are_the_providers_cost_as_they_become_whole(
    house: House, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "GIGABYTE", 1_000)  # nobody moves a thousand million bytes in a test
    moved = []
    key = PHARMA | {"Idempotency-Key": "use-number-1"}
    for asked in ("bytes=0-599", "bytes=600-1499", "bytes=1000-1599", "bytes=1600-3899"):
        assert client.get(DATA, params=GOOD, headers=key | {"Range": asked}).status_code == 206
        with house.db() as db:
            events = db.exec(select(MeterEvent).where(MeterEvent.kind == "delivery.gigabyte")).all()
            moved.append(sum(one.quantity for one in events))
    assert moved == [0, 1, 2, 4]  # 600, 1500, 2100 and 4400 bytes; what was sent again cost again
    post(house)
    hospital, rate = house.cast["hospital"].id, 80
    assert balance(house, hospital, "expense:delivery") == 4 * rate
    assert {(one.payer_id, one.payee_id, one.agreement_id) for one in events} == {(hospital, None, "agr_1")}
    told = [one["facts"]["quantity"] for one in entries(house, Tag.COST_METERED) if "delivery:" in one["facts"]["key"]]
    assert (sum(told), imbalance(house)) == (4, 0)


@given(
    low=st.integers(0, 40),
    length=st.integers(0, 40),
    spans=st.lists(st.tuples(st.integers(0, 80), st.integers(0, 80)).map(sorted), max_size=6),
)
def test_what_no_span_covers_is_what_counting_byte_by_byte_finds(low: int, length: int, spans: list[list[int]]) -> None:
    covered = {byte for start, end in spans for byte in range(start, end)}
    expected = len(set(range(low, low + length)) - covered)
    assert uncovered(low, low + length, [(start, end) for start, end in spans]) == expected
