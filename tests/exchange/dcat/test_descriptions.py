"""What a listing's description says, and that the profiles' own shapes accept it."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from rdflib import Graph, Literal, URIRef
from rdflib.compare import isomorphic
from rdflib.namespace import DCAT, DCTERMS
from sqlalchemy import event

from marketplace.assets.models import Version
from marketplace.exchange.dcat.facts import gather
from marketplace.exchange.queries import visible
from marketplace.main import create_app
from seeds.forms import CHEST_CT, OFFER, SHORT_OFFER
from tests.exchange.dcat.validating import ACCESS, HEALTH, assert_unstructured, datasets, level_of, read, violations
from tests.exchange.parts import OFFERABLE, certified, listed, suspend_certificate, terms_of
from tests.house import House


@pytest.fixture
def http(house: House) -> TestClient:
    return TestClient(create_app(house.runtime))


@pytest.fixture
def version(house: House) -> Version:
    return certified(house, **CHEST_CT)


def described(http: TestClient, listing: str) -> Graph:
    """The description in both formats, which say the same."""
    found = {}
    for form, media_type in (("json-ld", "application/ld+json"), ("turtle", "text/turtle")):
        answer = http.get(f"/v1/dcat/{listing}", headers={"Accept": media_type})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].split(";")[0] == media_type
        found[form] = read(answer.text, form)
    assert isomorphic(found["json-ld"], found["turtle"])
    return found["turtle"]


@pytest.mark.parametrize("template", OFFERABLE)
def test_the_shapes_of_both_profiles_accept_a_listing_of_every_template(
    house: House, http: TestClient, version: Version, template: str
) -> None:
    found = described(http, listed(house, version, **terms_of(template)).id)
    assert level_of(found) == ("PUBLIC" if template == "open-data/v1" else "NON_PUBLIC")
    assert violations(found, "DCAT-AP") == violations(found, level_of(found)) == []
    assert_unstructured(found)


@pytest.mark.parametrize("offer", [OFFER, SHORT_OFFER])
def test_the_seeds_listings_say_what_is_known_of_them(
    house: House, http: TestClient, version: Version, offer: dict[str, Any]
) -> None:
    found = described(http, listed(house, version, **offer).id)
    (dataset,) = datasets(found)

    def said(name: str) -> set[str]:
        return {str(one) for one in found.objects(dataset, URIRef(HEALTH + name))}

    assert set(found.objects(dataset, DCTERMS.title)) == {
        Literal(CHEST_CT["name"], "zh"),
        Literal(CHEST_CT["name_en"], "en"),
    }
    assert {str(one) for one in found.objects(dataset, DCAT.keyword)} == set(CHEST_CT["keywords"])
    assert said("numberOfRecords") == {"3"}
    assert {one.rsplit("/", 1)[1] for one in said("healthTheme")} == {"CANCER_DISEASE", "RESPIRATORY_DISEASES"}
    assert said("hasCodeValues") == {
        "DICOM (0008,0060) Modality CT",
        "DICOM (0018,0015) Body Part Examined CHEST",
    }
    assert (dataset, DCTERMS.accessRights, URIRef(ACCESS + "NON_PUBLIC")) in found
    (provenance,) = found.objects(dataset, DCTERMS.provenance)
    told = " ".join(str(one) for one in found.objects(provenance))
    assert "assessed by Example Mingli Law Firm" in told
    assert violations(found, "NON_PUBLIC") == []


def test_the_shapes_do_refuse(house: House, http: TestClient, version: Version) -> None:
    found = described(http, listed(house, version).id)
    found.remove((None, URIRef(f"{HEALTH}hdab"), None))
    assert [one for one in violations(found, "NON_PUBLIC") if "hdab" in one]
    assert violations(found, "PUBLIC")


def test_the_whole_catalogue_is_read_page_by_page(house: House, http: TestClient, version: Version) -> None:
    ids = [listed(house, version, term_days=days).id for days in (10, 20, 30)]
    address, seen = "/v1/dcat?limit=2", []
    for size in (2, 1):
        answer = http.get(address, headers={"Accept": "text/turtle"})
        page = read(answer.text, "turtle")
        assert isomorphic(page, read(http.get(f"{address}&format=jsonld").text, "json-ld"))
        assert len(datasets(page)) == size
        assert violations(page, "DCAT-AP") == violations(page, "NON_PUBLIC") == []
        seen += [str(one).rsplit("/", 1)[1] for one in datasets(page)]
        following = list(page.objects(None, URIRef("http://www.w3.org/ns/hydra/core#next")))
        address = str(following[0]) if following else ""
    assert address == ""
    assert sorted(seen) == sorted(ids)


def test_whoever_holds_a_description_is_not_sent_it_again(house: House, http: TestClient, version: Version) -> None:
    address = f"/v1/dcat/{listed(house, version).id}"
    first = http.get(address)
    again = http.get(address, headers={"If-None-Match": f'"other", {first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    turtle = http.get(address, headers={"If-None-Match": first.headers["etag"], "Accept": "text/turtle"})
    assert turtle.status_code == 200
    assert turtle.headers["vary"] == "Accept"


def test_what_is_not_visible_is_not_described(house: House, http: TestClient, version: Version) -> None:
    listing = listed(house, version).id
    suspend_certificate(house, version.id)
    assert http.get(f"/v1/dcat/{listing}").status_code == 404
    assert datasets(read(http.get("/v1/dcat").text, "json-ld")) == []


def test_the_facts_of_a_page_take_four_statements_whatever_its_size(house: House, version: Version) -> None:
    counts = []
    for days in (10, 20, 30):
        listed(house, version, term_days=days)
        statements: list[str] = []

        def note(*args: Any, into: list[str] = statements) -> None:
            into.append(args[2])

        with house.runtime.database.reading() as db:
            rows = visible(db, house.clock.now()).rows
            event.listen(house.runtime.database.engine, "before_cursor_execute", note)
            gather(db, rows)
            event.remove(house.runtime.database.engine, "before_cursor_execute", note)
        counts.append(len(statements))
    assert counts == [4, 4, 4]
