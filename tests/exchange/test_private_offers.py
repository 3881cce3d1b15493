"""An offer to named buyers is seen and bought by them alone."""

from __future__ import annotations

import pytest

from marketplace.exchange import queries
from marketplace.exchange.catalogue import NotInCatalogue
from marketplace.exchange.models import Listing
from marketplace.exchange.service import UnknownParty
from marketplace.negotiation.models import AccessRequest
from tests.exchange.parts import certified, found, listed, offered
from tests.house import House
from tests.negotiation.parts import ask, finalized


@pytest.fixture
def private(house: House) -> Listing:
    return listed(house, certified(house), buyers=[house.cast["pharma"].id])


def private_to(house: House, who: str) -> list[str]:
    with house.runtime.database.reading() as db:
        page = queries.visible(db, house.clock.now(), reader=house.cast[who].id)
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


def test_an_unknown_buyer_is_not_named(house: House) -> None:
    version = certified(house)
    with pytest.raises(UnknownParty):
        offered(house, version, buyers=["prt_nobody"])
