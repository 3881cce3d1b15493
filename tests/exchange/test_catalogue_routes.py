"""The catalogue over HTTP: facets, ETags, and what a caller may ask for."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from marketplace.exchange import facets
from marketplace.exchange.catalogue import Wanted
from marketplace.exchange.facets import CountingBusy, FacetCounts
from marketplace.main import create_app
from marketplace.plumbing.conditional import holds
from tests.exchange.parts import certified, found, listed, suspend_certificate, terms_of
from tests.house import House
from tests.registration.test_routes import Gate


@pytest.fixture
def http(house: House) -> TestClient:
    app = create_app(house.runtime)
    app.state.gate = Gate(house)
    return TestClient(app)


def test_facets_count_what_each_filter_would_find(house: House, http: TestClient) -> None:
    lungs, hearts = (
        certified(house),
        certified(house, name="2025示例心脏磁共振数据集", modality="MR", body_part="HEART"),
    )
    listed(house, lungs, **terms_of("research-use/v1"))
    listed(house, hearts, **terms_of("model-training/v1"))
    hidden = certified(house, name="2025示例腹部影像数据集", body_part="ABDOMEN")
    listed(house, hidden)
    suspend_certificate(house, hidden.id)
    counted = http.get("/v1/facets").json()
    assert counted["listings"] == 2
    assert counted["modality"] == {"ct": 1, "mr": 1}
    assert counted["body_part"] == {"chest": 1, "heart": 1}
    assert counted["provider"] == {house.cast["hospital"].id: 2}
    for kind in ("modality", "body_part", "purpose", "provider"):
        for value, many in counted[kind].items():
            assert len(found(house, **{kind: value})) == many
    narrowed = http.get("/v1/facets", params={"q": "心脏"}).json()
    assert (narrowed["listings"], narrowed["modality"]) == (1, {"mr": 1})
    assert http.get("/v1/facets", params={"q": "?!"}).json()["listings"] == 0


def test_a_count_is_kept_for_as_long_as_it_is_dear(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    version, counts = certified(house), FacetCounts()
    monkeypatch.setattr(facets, "KEPT_FOR", 10**9)

    def listings() -> int:
        with house.runtime.database.reading() as db:
            return counts.facets(db, house.clock.now(), Wanted()).listings

    listed(house, version, term_days=10)
    assert listings() == 1
    listed(house, version, term_days=20)
    house.clock.advance(facets.LONGEST_KEPT - timedelta(seconds=1))
    assert listings() == 1
    house.clock.advance(timedelta(seconds=1))
    assert listings() == 2


def test_one_count_runs_at_a_time_and_nobody_waits_long(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facets, "WAIT_S", 0.01)
    counts = FacetCounts()
    with house.runtime.database.reading() as db:
        kept = counts.facets(db, house.clock.now(), Wanted())
        house.clock.advance(facets.LONGEST_KEPT)
        with counts._turn:
            assert counts.facets(db, house.clock.now(), Wanted()) is kept
            with pytest.raises(CountingBusy):
                counts.facets(db, house.clock.now(), Wanted(text="CT"))


def test_whoever_holds_a_page_is_not_sent_it_again(house: House, http: TestClient) -> None:
    version = certified(house)
    listing = listed(house, version).id
    for address in ("/v1/catalogue", f"/v1/catalogue/{listing}"):
        first = http.get(address)
        again = http.get(address, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    held = http.get("/v1/catalogue").headers["etag"]
    listed(house, version, term_days=10)
    changed = http.get("/v1/catalogue", headers={"If-None-Match": held})
    assert changed.status_code == 200
    assert len(changed.json()["items"]) == 2
    suspend_certificate(house, version.id)
    assert http.get("/v1/catalogue", headers={"If-None-Match": held}).json()["items"] == []


@given(st.lists(st.sampled_from(['"a"', 'W/"b"', '"c"'])), st.sampled_from(['"a"', '"b"', '"d"']))
def test_an_etag_is_held_if_it_is_named(named: list[str], etag: str) -> None:
    assert holds(" , ".join(named), etag) is (etag in {one.removeprefix("W/") for one in named})
    assert holds(" * ", etag)


def test_a_caller_sees_what_is_open_to_it(house: House, http: TestClient) -> None:
    version = certified(house)
    insurers = listed(house, version, **terms_of("insurance-actuarial/v1")).id
    everybody = listed(house, version, **terms_of("research-use/v1")).id
    address = "/v1/participants/me/catalogue"
    assert http.get(address).status_code == 401
    for name, seen in (("pharma", [everybody]), ("insurer", [everybody, insurers])):
        items = http.get(address, headers={"x-party": name}).json()["items"]
        assert [one["listing_id"] for one in items] == seen
    narrowed = http.get(address, params={"purpose": "actuarial_pricing"}, headers={"x-party": "insurer"}).json()
    assert [one["listing_id"] for one in narrowed["items"]] == [insurers]
