"""One asset or version is looked up by its id, whoever asks and however many there are."""

from __future__ import annotations

import pytest

from marketplace.assets import queries
from marketplace.assets.queries import NoSuchAsset, NoSuchVersion
from tests.exchange.parts import certified
from tests.house import House
from tests.plans import plans


def test_it_is_looked_up_by_who_may_see_it_and_hidden_from_others(house: House) -> None:
    version = certified(house)
    for who in ("hospital", "law_firm", "registrar", "exchange", "auditor"):
        actor = house.cast[who].actor
        with house.runtime.database.reading() as db:
            assert queries.visible_version(db, actor, version.id) == version
            assert queries.visible_asset(db, actor, version.asset_id).id == version.asset_id
        asked = plans(house.runtime.database, lambda db, actor=actor: queries.visible_version(db, actor, version.id))
        asked += plans(
            house.runtime.database, lambda db, actor=actor: queries.visible_asset(db, actor, version.asset_id)
        )
        assert asked
        assert all(one.startswith("SEARCH") and one.endswith("(id=?)") for one in asked)
    with house.runtime.database.reading() as db:
        for who in ("pharma", "operator"):
            with pytest.raises(NoSuchVersion, match="no version with this id"):
                queries.visible_version(db, house.cast[who].actor, version.id)
            with pytest.raises(NoSuchAsset, match="no asset with this id"):
                queries.visible_asset(db, house.cast[who].actor, version.asset_id)
