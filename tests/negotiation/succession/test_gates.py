"""The gates of a first contract hold for what follows it: who may have access."""

from __future__ import annotations

from typing import Any

import pytest
from sqlmodel import select

from marketplace.assets.models import Asset
from marketplace.negotiation.eligibility import RefusedOnReview
from marketplace.negotiation.signing import PartySuspended
from marketplace.negotiation.succession.rules import SuccessorKind
from marketplace.participants.models import Participant
from tests.exchange.parts import listed, terms_of
from tests.house import House
from tests.negotiation.parts import finalized
from tests.negotiation.succession.parts import agreement_of, amend, chain, renew, sign_successor


@pytest.mark.parametrize("gate", ["suspended", "unverified", "foreign"])
@pytest.mark.parametrize("kind", list(SuccessorKind))
def test_a_buyer_that_may_have_no_access_gets_no_successor(house: House, kind: SuccessorKind, gate: str) -> None:
    propose = amend if kind == SuccessorKind.AMENDMENT else renew
    reason = {"suspended": "party_suspended", "unverified": "party_not_verified"}.get(
        gate, "foreign_controlled_genomic"
    )
    first = finalized(house, listing=listed(house, **research()), purpose="scientific_research")
    shut(house, gate)
    with pytest.raises(RefusedOnReview) as refused:
        propose(house, first.id, "hospital", parameters={"max_uses": 4})
    assert refused.value.got == reason
    assert chain(house, first.id).successors == []
    shut(house, "no more")
    second = propose(house, first.id, "hospital", parameters={"max_uses": 4})
    sign_successor(house, second.id, "hospital")
    shut(house, gate)
    with pytest.raises((RefusedOnReview, PartySuspended)):
        sign_successor(house, second.id, "pharma")
    assert (agreement_of(house, first.id).state, agreement_of(house, second.id).state) == ("finalized", "drafted")


def research() -> dict[str, Any]:
    """What an offer says that would be lawful for genomic data too."""
    cost = {"kind": "one_off", "price_fen": 100, "regime": "cost_only", "cost_fen": 100}
    terms = terms_of("research-use/v1", purposes=["scientific_research"], max_uses=5)
    return terms | {"price_plan": cost, "term_days": 30}


def shut(house: House, gate: str) -> None:
    """What becomes of the buyer, and of the data, after the first contract."""
    with house.arrange() as db:
        buyer = db.get_one(Participant, house.cast["pharma"].id)
        buyer.suspended_at = house.clock.now() if gate == "suspended" else None
        buyer.verified_by = "" if gate == "unverified" else "prt_exchange"
        buyer.foreign_controlled = gate == "foreign"
        db.add(buyer)
        for asset in db.exec(select(Asset)):
            asset.contains_genomic = gate == "foreign"
            db.add(asset)
