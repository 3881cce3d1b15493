"""A price that only recovers a cost is charged until the cost is back, and to nobody after that."""

from __future__ import annotations

import pytest

from marketplace.costing.recovery import left_to_recover
from marketplace.costing.sheet import Asked, cost_sheet
from marketplace.negotiation.recovery import CostRecovered
from tests.exchange.parts import listed, terms_of
from tests.house import House
from tests.negotiation.parts import drafted, finalized, sign, state
from tests.settlement.parts import billed, credit, post

PRICE = 3_000_000
COST_ONLY = {"kind": "one_off", "price_fen": PRICE, "regime": "cost_only", "cost_fen": PRICE}
TERMS = terms_of("research-use/v1", purposes=["scientific_research"]) | {"price_plan": COST_ONLY}
PURPOSE = "scientific_research"


def left(house: House, asset: str) -> int:
    with house.runtime.database.reading() as db:
        return left_to_recover(db, asset)


def test_the_contract_that_would_make_a_margin_does_not_come_into_force(house: House) -> None:
    listing = listed(house, **TERMS)
    cost = left(house, listing.asset_id)
    finalized(house, listing=listing, purpose=PURPOSE)
    kept = cost - left(house, listing.asset_id)
    assert 0 < kept < PRICE
    assert cost // kept == 2  # a second sale fits into the cost, a third does not
    finalized(house, listing=listing, purpose=PURPOSE)

    third = drafted(house, listing=listing, purpose=PURPOSE)
    sign(house, third, "pharma")
    with pytest.raises(CostRecovered, match="lower the price"):
        sign(house, third, "hospital")
    assert state(house, third) == ("ACCEPTED", "drafted")
    post(house)
    with house.runtime.database.reading() as db:
        sheet = cost_sheet(db, listing.asset_id, Asked(prices=()), house.clock.now())
    assert (sheet.sales, sheet.unrecovered_fen) == (2, left(house, listing.asset_id))
    assert sheet.kept_fen == 2 * kept <= sheet.total_fen == cost

    credit(house, billed(house))  # a sale that is taken back has brought nothing
    assert sign(house, third, "hospital").finalized_at is not None
