"""Duties on what leaves: carried out, or the use is refused."""

from __future__ import annotations

import pytest

from marketplace.exchange.terms import PROFILE
from marketplace.exchange.terms.delivery import CARRIED
from marketplace.transfer import opening
from marketplace.transfer.delivery import prepare
from marketplace.transfer.opening import Download, Opened, Refused
from marketplace.usage.obligations import Transformation, enforced, unmet
from marketplace.usage.rules import UseRequest
from tests.house import House
from tests.usage.agreed import agree, uses

ALL = [{"action": name} for name in PROFILE["duties"]]


def test_a_delivery_without_an_enforced_duty_leaves_it_unmet() -> None:
    done = [str(one) for one in enforced(ALL)]
    assert done == ["mkt:pseudonymisePerAgreement", "attribute"]
    assert unmet(ALL, done) == ["mkt:watermark"]
    assert unmet(ALL, done[:1]) == ["attribute", "mkt:watermark"]
    assert unmet(ALL[:1], done) == []


def test_what_the_offer_check_takes_for_carried_out_is_what_a_delivery_does() -> None:
    assert CARRIED["download"].duties == {str(one) for one in Transformation}


@pytest.mark.parametrize(("duty", "opened"), [("compensate", True), ("mkt:watermark", False)])
def test_a_use_under_a_duty_that_the_delivery_does_not_carry_out_is_refused(
    house: House, duty: str, opened: bool
) -> None:
    agree(house, uses(duties=("mkt:pseudonymisePerAgreement", "attribute", duty)), files=1)
    prepare(house.runtime, "agr_1")
    asked = Download("agr_1", UseRequest("model_training"))
    answer = opening.open_transfer(house.runtime, house.cast["pharma"].actor, asked, house.clock.now())
    assert isinstance(answer, Opened) == opened
    if isinstance(answer, Refused):
        assert answer.decision.reasons == ("obligation_not_applied",)
