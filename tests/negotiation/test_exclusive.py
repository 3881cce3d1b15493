"""An exclusive licence bars everybody else from the asset while it is in force, and is signed only where nobody is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlmodel import select

from marketplace.exchange.catalogue import NotInCatalogue
from marketplace.exchange.exclusivity import SoldExclusively
from marketplace.exchange.models import Exclusivity, Listing
from marketplace.negotiation import queries, stopping
from marketplace.negotiation.signing import NotAlone
from tests.exchange.parts import certified, found, listed, offered, terms_of
from tests.house import House
from tests.negotiation.parts import WHY, approve, ask, requested, sign

EXCLUSIVE = terms_of("buyout/v1") | {"price_plan": {"kind": "buyout", "price_fen": 90_000_000, "exclusive": True}}
PURPOSE = EXCLUSIVE["parameters"]["purposes"][0]


@pytest.fixture
def listings(house: House) -> tuple[Listing, Listing]:
    """The same asset, listed for everybody and for one buyer exclusively."""
    version = certified(house)
    return listed(house, version), listed(house, version, **EXCLUSIVE)


def bought(house: House, listing: Listing, who: str, purpose: str) -> str:
    agreement = approve(house, requested(house, listing, who, purpose=purpose))
    sign(house, agreement, who)
    return sign(house, agreement, "hospital").id


def terminated(house: House, agreement: str) -> None:
    with house.db() as db:
        stopping.terminate(db, house.cast["hospital"].actor, queries.agreement(db, agreement), WHY, house.clock.now())


def test_after_an_exclusive_sale_the_asset_is_offered_shown_and_sold_to_nobody(
    house: House, listings: tuple[Listing, Listing]
) -> None:
    everybodys, exclusive = listings
    waiting = approve(house, requested(house, everybodys, "ai_company"))
    bought(house, exclusive, "pharma", PURPOSE)
    assert found(house) == []
    with house.db() as db:
        (barred,) = db.exec(select(Exclusivity)).all()
        version = queries.agreement(db, waiting.id).version_id
    assert barred.buyer_id == house.cast["pharma"].id
    with pytest.raises(NotInCatalogue):
        ask(house, everybodys, "insurer")
    with pytest.raises(SoldExclusively):
        sign(house, waiting, "ai_company")
    from marketplace.assets import queries as assets

    with house.db() as db:
        sealed = assets.version(db, version)
    with pytest.raises(SoldExclusively):
        offered(house, sealed)


def test_an_exclusive_licence_is_not_signed_while_somebody_else_has_access(
    house: House, listings: tuple[Listing, Listing]
) -> None:
    everybodys, exclusive = listings
    other = bought(house, everybodys, "ai_company", "model_training")
    agreement = approve(house, requested(house, exclusive, "pharma", purpose=PURPOSE))
    with pytest.raises(NotAlone, match="nobody else"):
        sign(house, agreement, "pharma")
    terminated(house, other)
    sign(house, agreement, "pharma")
    assert sign(house, agreement, "hospital").state == "finalized"


@pytest.mark.parametrize("how", ["terminated", "over"])
def test_with_the_end_of_the_licence_the_asset_is_open_again(
    house: House, listings: tuple[Listing, Listing], how: str
) -> None:
    everybodys, exclusive = listings
    agreement = bought(house, exclusive, "pharma", PURPOSE)
    if how == "terminated":
        terminated(house, agreement)
    else:
        house.clock.advance(timedelta(days=365, seconds=1))
        assert isinstance(everybodys, Listing)
        with house.db() as db:
            assert queries.agreement(db, agreement).ends_at < house.clock.now()
            assert db.exec(select(Exclusivity)).one().ends_at < house.clock.now()
        return
    assert set(found(house)) == {everybodys.id, exclusive.id}
    bought(house, everybodys, "ai_company", "model_training")


def test_a_plain_buyout_bars_nobody(house: House) -> None:
    version = certified(house)
    everybodys, plain = listed(house, version), listed(house, version, **terms_of("buyout/v1"))
    bought(house, plain, "pharma", PURPOSE)
    assert set(found(house)) == {everybodys.id, plain.id}
