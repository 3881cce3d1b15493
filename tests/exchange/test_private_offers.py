"""An offer to named buyers is seen and bought by them alone."""

from __future__ import annotations

import pytest

from marketplace.audit import documents
from marketplace.charging import routes as charging_routes
from marketplace.client.problem import ProblemError
from marketplace.exchange import catalogue_routes, queries
from marketplace.exchange import routes as exchange_routes
from marketplace.exchange.catalogue import NotInCatalogue
from marketplace.exchange.fitness import UnknownParty
from marketplace.exchange.models import Listing
from marketplace.negotiation.models import AccessRequest
from tests.exchange.parts import certified, found, listed, offered
from tests.house import House
from tests.negotiation.parts import ask, finalized
from tests.participants.small_market import open_market


@pytest.fixture
def private(house: House) -> Listing:
    return listed(house, certified(house), buyers=[house.cast["pharma"].id])


def private_to(house: House, who: str) -> list[str]:
    with house.runtime.database.reading() as db:
        page = queries.visible(db, house.clock.now(), queries.Wanted(named=house.cast[who].id))
        return [row.listing.id for row in page.rows]


def test_the_public_catalogue_does_not_show_it(house: House, private: Listing) -> None:
    assert found(house) == []
    with house.runtime.database.reading() as db, pytest.raises(NotInCatalogue):
        queries.visible_listing(db, private.id, house.clock.now())


def test_only_the_named_buyer_sees_it_and_asks_for_it(house: House, private: Listing) -> None:
    assert (private_to(house, "pharma"), private_to(house, "ai_company")) == ([private.id], [])
    assert isinstance(ask(house, private, "pharma"), AccessRequest)
    with pytest.raises(NotInCatalogue):
        ask(house, private, "ai_company")


def test_the_named_buyer_comes_to_an_agreement(house: House, private: Listing) -> None:
    assert finalized(house, listing=private).state == "finalized"


def test_a_public_listing_is_not_among_the_private_ones(house: House) -> None:
    listing = listed(house)
    assert found(house) == [listing.id]
    assert private_to(house, "pharma") == []


def test_its_document_is_read_by_its_sides_and_its_exchange_alone(house: House, private: Listing) -> None:
    def reads(who: str) -> bool:
        with house.runtime.database.reading() as db:
            try:
                return documents.get_for(db, house.cast[who].actor, str(private.document)).sha256 == private.document
            except documents.NoSuchDocument:
                return False

    readers = [who for who in ("hospital", "exchange", "pharma", "ai_company", "registrar", "insurer") if reads(who)]
    assert readers == ["hospital", "exchange", "pharma"]


@pytest.mark.parametrize("address", ["/v1/catalogue/{}", "/v1/catalogue/{}/price"])
def test_the_named_buyer_reads_its_detail_and_price_and_nobody_else_does(
    house: House, private: Listing, address: str
) -> None:
    path = address.format(private.id)
    with open_market(house, [exchange_routes.routes, catalogue_routes.routes, charging_routes.routes]) as market:
        assert market.http.get(market.url + path).status_code == 404
        assert market.client("pharma").get(path)
        with pytest.raises(ProblemError) as refused:
            market.client("ai_company").get(path)
    assert refused.value.slug == "not-in-catalogue"


def test_an_unknown_buyer_is_not_named(house: House) -> None:
    version = certified(house)
    with pytest.raises(UnknownParty):
        offered(house, version, buyers=["prt_nobody"])
