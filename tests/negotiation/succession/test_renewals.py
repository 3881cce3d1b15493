"""An agreement whose renewal is signed goes on being amended, each part of the time by a successor of its own."""

from __future__ import annotations

from datetime import timedelta

import pytest

from marketplace.negotiation.models import Agreement
from marketplace.negotiation.succession import place, queries
from marketplace.usage import service as usage
from marketplace.usage.rules import UseRequest
from tests.exchange.parts import PRICE_FEN, listed
from tests.house import House
from tests.negotiation.parts import finalized
from tests.negotiation.succession.parts import (
    agreement_of,
    amend,
    amended,
    chain,
    renew,
    settle,
    sign_successor,
    terminate,
)
from tests.negotiation.succession.test_successors import sales

SIDES = ("pharma", "hospital")


def renewed(house: House) -> tuple[Agreement, Agreement]:
    """An agreement in force, and its signed renewal that waits for the end of the term."""
    first = finalized(house, listing=listed(house, term_days=30))
    second = renew(house, first.id, "pharma", ends_at=first.ends_at + timedelta(days=20))
    for who in SIDES:
        sign_successor(house, second.id, who)
    return first, second


def allowed(house: House, name: str) -> bool:
    with house.runtime.database.reading() as db:
        pharma, now = house.cast["pharma"].actor, house.clock.now()
        asked = UseRequest("model_training")
        return usage.authorize(db, pharma, agreement_of(house, name), asked, now, house.runtime).decision.allow


def test_the_running_agreement_is_amended_while_its_signed_renewal_waits(house: House) -> None:
    first, renewal = renewed(house)
    for days in (-1, 1):
        with pytest.raises(place.RenewalBegins) as refused:
            amend(house, first.id, "pharma", ends_at=first.ends_at + timedelta(days=days))
        assert renewal.id in str(refused.value.action)
    second = amended(house, first.id, parameters={"max_uses": 9})
    assert [agreement_of(house, one.id).state for one in (first, second, renewal)] == [
        "superseded",
        "finalized",
        "finalized",
    ]
    assert second.ends_at == renewal.starts_at
    assert [allowed(house, one.id) for one in (first, second, renewal)] == [False, True, False]
    with house.runtime.database.reading() as db:
        assert [queries.in_place_of(db, one.id) for one in (first, second, renewal)] == [
            second.id,
            second.id,
            renewal.id,
        ]
    assert sales(house) == [PRICE_FEN, PRICE_FEN, 0]
    with pytest.raises(place.AlreadySucceeded) as again:
        renew(house, second.id, "hospital")
    assert again.value.got == renewal.id
    third = amended(house, second.id, parameters={"max_uses": 8})
    house.clock.advance_to(third.ends_at)
    settle(house)
    assert [agreement_of(house, one.id).state for one in (third, renewal)] == ["expired", "finalized"]
    assert [allowed(house, one.id) for one in (third, renewal)] == [False, True]


def test_the_renewal_is_amended_by_a_successor_of_its_own_before_it_begins(house: House) -> None:
    first, renewal = renewed(house)
    other = amended(house, renewal.id, parameters={"max_uses": 3}, ends_at=renewal.ends_at + timedelta(days=5))
    assert (other.starts_at, agreement_of(house, renewal.id).state) == (first.ends_at, "superseded")
    assert agreement_of(house, first.id).state == "finalized"
    with pytest.raises(place.RenewalBegins) as refused:
        amend(house, first.id, "pharma", ends_at=first.ends_at + timedelta(days=1))
    assert other.id in str(refused.value.action)
    terminate(house, other.id, "hospital")
    longer = amended(house, first.id, ends_at=first.ends_at + timedelta(days=1))
    anew = renew(house, longer.id, "pharma")
    for who in SIDES:
        sign_successor(house, anew.id, who)
    assert (anew.starts_at, agreement_of(house, anew.id).state) == (longer.ends_at, "finalized")


def test_an_amendment_and_a_renewal_do_not_wait_beside_each_other(house: House) -> None:
    first = finalized(house, listing=listed(house, term_days=30))
    renewal = renew(house, first.id, "pharma")
    with pytest.raises(place.AlreadySucceeded) as refused:
        amend(house, first.id, "hospital", parameters={"max_uses": 9})
    assert refused.value.action == "sign, refuse or withdraw that renewal first"
    terminate(house, renewal.id, "pharma")
    amendment = amend(house, first.id, "hospital", parameters={"max_uses": 9})
    with pytest.raises(place.AlreadySucceeded) as refused:
        renew(house, first.id, "pharma")
    assert refused.value.action == "sign, refuse or withdraw that amendment first"
    assert [(one.agreement_id, one.state) for one in chain(house, first.id).successors] == [
        (renewal.id, "withdrawn"),
        (amendment.id, "proposed"),
    ]
