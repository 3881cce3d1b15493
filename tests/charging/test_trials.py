"""The trial of a subscription: the price is due when it is over, and what was previewed is what is billed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.charging.preview import preview_of_agreement
from marketplace.negotiation import access
from marketplace.negotiation import queries as negotiation
from tests.exchange.parts import PRICE_FEN, listed, terms_of
from tests.house import House, open_house
from tests.negotiation.parts import drafted, finalized, sign
from tests.negotiation.succession.parts import amended, settle, terminate
from tests.settlement.parts import balance, post

DAY = timedelta(days=1)
FORM = terms_of("subscription/v1")
TRIAL = FORM | {"price_plan": FORM["price_plan"] | {"trial_days": 30}}


def bought(house: House) -> float:
    """What the buyer was charged for data so far, fen."""
    post(house)
    return balance(house, house.cast["pharma"].id, "expense:data-access")


def begun(house: House, form: dict[str, object] = TRIAL) -> str:
    return finalized(house, listing=listed(house, **form), purpose=FORM["parameters"]["purposes"][0]).id


def test_the_price_is_charged_when_the_trial_is_over_and_once(house: House) -> None:
    agreement = begun(house)
    with house.db() as db:
        said = preview_of_agreement(db, negotiation.agreement(db, agreement), 1, house.clock.now())
    assert (said.access_fen, said.trial_days, said.charge.amount_fen) == (PRICE_FEN, 30, 0)
    assert bought(house) == 0
    house.clock.advance(29 * DAY)
    settle(house)
    assert bought(house) == 0
    house.clock.advance(DAY)
    settle(house)
    with house.db() as db:
        access.end_trial(db, agreement, house.clock.now())
    assert bought(house) == said.access_fen


def test_an_amendment_ends_the_trial_and_charges_the_whole_price_once(house: House) -> None:
    agreement = begun(house)
    house.clock.advance(10 * DAY)
    amended(house, agreement, price_plan=TRIAL["price_plan"] | {"price_fen": PRICE_FEN + 700})
    assert bought(house) == PRICE_FEN + 700
    house.clock.advance(60 * DAY)
    settle(house)
    assert bought(house) == PRICE_FEN + 700


def test_an_amendment_just_after_the_trial_charges_the_difference_before_the_task_has_run(house: House) -> None:
    agreement = begun(house)
    house.clock.advance(30 * DAY)
    amended(house, agreement, price_plan=TRIAL["price_plan"] | {"price_fen": PRICE_FEN + 700})
    assert bought(house) == PRICE_FEN + 700
    settle(house)
    assert bought(house) == PRICE_FEN + 700


def test_a_buyer_tries_an_asset_once_under_whatever_listing(house: House) -> None:
    listing, purpose = listed(house, **TRIAL), FORM["parameters"]["purposes"][0]
    first = finalized(house, listing=listing, purpose=purpose)
    house.clock.advance(29 * DAY)
    terminate(house, first.id, "pharma")
    again = drafted(house, listing=listing, purpose=purpose)
    assert [trial_said(house, first.id), trial_said(house, again.id)] == [30, 0]
    sign(house, again, "pharma")
    sign(house, again, "hospital")
    assert (trial_said(house, again.id), bought(house)) == (0, PRICE_FEN)
    house.clock.advance(60 * DAY)
    settle(house)
    assert (trial_said(house, again.id), bought(house)) == (0, PRICE_FEN)


def trial_said(house: House, agreement: str) -> int:
    with house.db() as db:
        return preview_of_agreement(db, negotiation.agreement(db, agreement), 1, house.clock.now()).trial_days


@settings(max_examples=4, deadline=None)
@given(trial=st.integers(1, 60), left=st.integers(0, 80))
def test_whoever_leaves_within_the_trial_pays_nothing_and_nobody_more_than_was_previewed(
    tmp_path_factory: pytest.TempPathFactory, trial: int, left: int
) -> None:
    with open_house(tmp_path_factory.mktemp("house")) as house:
        agreement = begun(house, FORM | {"price_plan": FORM["price_plan"] | {"trial_days": trial}})
        house.clock.advance(left * DAY)
        settle(house)
        terminate(house, agreement, "pharma")
        house.clock.advance(90 * DAY)
        settle(house)
        assert bought(house) == (PRICE_FEN if left >= trial else 0)
