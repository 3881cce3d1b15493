"""The listings of the benchmark are such as the verbs would have made."""

from __future__ import annotations

from sqlmodel import select

from marketplace.assets import queries as assets
from marketplace.exchange import queries
from marketplace.exchange.models import Listing
from marketplace.exchange.standing import require_standing
from marketplace.kernel.errors import DomainError
from tests.benchmarks.listings import HIDDEN, fill
from tests.exchange.parts import found
from tests.house import House


def test_the_gate_of_the_verbs_lets_through_what_the_catalogue_shows(house: House) -> None:
    fill(house, 2 * HIDDEN + 1)
    shown = set(found(house, limit=100))
    with house.runtime.database.reading() as db:
        standing = set()
        for listing in db.exec(select(Listing)):
            version, offer = assets.version(db, listing.version_id), queries.offer(db, listing.offer_id)
            try:
                require_standing(db, version, offer.provider_id, house.clock.now())
                standing.add(listing.id)
            except DomainError:
                continue
    assert shown == standing
    assert len(shown) == 2 * HIDDEN + 1 - 4
