"""Every listing of the told world is described as DCAT-AP 3 and HealthDCAT-AP demand it."""

from __future__ import annotations

from rdflib import URIRef
from rdflib.compare import isomorphic

from tests.console.conftest import Site
from tests.exchange.dcat.validating import HEALTH, assert_unstructured, datasets, level_of, read, violations


def test_the_shapes_accept_every_listing_of_the_seeds(site: Site) -> None:
    everything = read(site.page("/v1/dcat?limit=100&format=jsonld"), "json-ld")
    assert violations(everything, "DCAT-AP") == violations(everything, "NON_PUBLIC") == []
    listings = [str(one).rsplit("/", 1)[1] for one in datasets(everything)]
    assert site.listing in listings
    for listing in listings:
        found = read(site.page(f"/v1/dcat/{listing}?format=turtle"), "turtle")
        assert isomorphic(found, read(site.page(f"/v1/dcat/{listing}?format=jsonld"), "json-ld"))
        assert violations(found, "DCAT-AP") == violations(found, level_of(found)) == []
        assert_unstructured(found)


def test_a_described_listing_counts_what_its_quality_card_counts(site: Site) -> None:
    found = read(site.page(f"/v1/dcat/{site.listing}?format=turtle"), "turtle")
    (dataset,) = datasets(found)
    records = found.value(dataset, URIRef(f"{HEALTH}numberOfRecords"))
    assert records is not None
    assert records.toPython() == site.told.result["asset"]["records"]


def test_the_page_of_a_listing_links_to_both_formats(site: Site) -> None:
    page = site.page(f"/listings/{site.listing}?lang=en")
    for form in ("jsonld", "turtle"):
        assert f'href="/v1/dcat/{site.listing}?format={form}"' in page
