"""Duties on what leaves: carried out, or the use is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.exchange.terms import PROFILE
from marketplace.exchange.terms.delivery import CARRIED, carried_under
from marketplace.transfer import opening
from marketplace.transfer.delivery import prepare
from marketplace.transfer.models import Delivery
from marketplace.transfer.opening import Download, Opened, Refused
from marketplace.usage.facts import compile_uses
from marketplace.usage.obligations import Transformation, output_of, together, unmet
from marketplace.usage.rules import UseRequest
from tests.house import House
from tests.policies.cases import Maker
from tests.usage.agreed import agree, rewrite, uses
from tests.usage.duties import compiled, only_attributes, only_records, small_groups, with_duties, written

PLAIN = [{"action": name, "constraints": []} for name, one in PROFILE["duties"].items() if not one["operands"]]


def test_a_delivery_without_an_enforced_duty_leaves_it_unmet() -> None:
    plain = [one for one in PLAIN if one["action"] != "mkt:onlyRecords"]
    done = together(plain).applied()
    assert [one["action"] for one in done] == ["mkt:pseudonymisePerAgreement", "attribute", "mkt:watermark"]
    assert unmet(plain, done) == []
    assert unmet(plain, done[:1]) == ["attribute", "mkt:watermark"]
    assert unmet(plain[:1], ["mkt:pseudonymisePerAgreement"]) == []


def test_what_the_offer_check_takes_for_carried_out_is_what_a_delivery_does() -> None:
    assert CARRIED["download"]["records"] == {str(one) for one in Transformation}


@given(st.integers(0, 2**32))
def test_offer_check_and_delivery_agree_on_what_a_contract_delivers(seed: int) -> None:
    (case,) = Maker(seed, willing=True).cases(1)
    told, carried = compile_uses(case.policy).model_dump(), carried_under(case.policy, "download")
    duties = [duty for permission in told["permissions"] for duty in permission["duties"]]
    assert (output_of(told), max(together(duties).smallest, 1)) == (carried.output, carried.smallest_group)


@given(st.integers(0, 2**32))
def test_what_duties_come_to_together_meets_each_of_them_and_nothing_less_does(seed: int) -> None:
    (case,) = Maker(seed).cases(1)
    duties = [one for rule in compile_uses(case.policy).model_dump()["permissions"] for one in rule["duties"]]
    applied = together(duties).applied()
    assert unmet(duties, applied) == []
    for at, one in enumerate(applied):
        assert unmet(duties, applied[:at] + applied[at + 1 :]) == [one["action"]]


@pytest.mark.parametrize(
    ("asked", "done"),
    [
        (only_attributes("Modality", "Rows"), only_attributes("Modality", "Rows", "KVP")),
        (only_records(written("mkt:modality", "eq", "CT")), only_records(written("mkt:modality", "eq", "MR"))),
        (
            only_records(written("mkt:modality", "eq", "CT")),
            only_records(written("mkt:modality", "isAnyOf", ["CT", "MR"])),
        ),
        (only_records(written("mkt:studyYear", "gteq", 2020)), only_records(written("mkt:studyYear", "gteq", 2019))),
        (only_records(written("mkt:studyYear", "gteq", 2020)), only_records(written("mkt:studyYear", "lteq", 2020))),
        (only_records(written("mkt:studyYear", "lteq", 2020)), only_records(written("mkt:studyYear", "lteq", 2021))),
        (small_groups(5, "age_band"), small_groups(4, "age_band")),
        (small_groups(5, "age_band", "patient_sex"), small_groups(5, "age_band")),
    ],
)
def test_a_duty_that_was_carried_out_less_strictly_is_unmet(asked: dict[str, Any], done: dict[str, Any]) -> None:
    assert unmet(compiled(asked), [done]) == [asked["action"]]
    assert unmet(compiled(asked), [done, asked]) == []


def test_duties_of_several_permissions_come_to_the_strictest() -> None:
    asked = compiled(
        only_attributes("Modality", "Rows"),
        only_attributes("Rows", "KVP"),
        small_groups(5, "age_band"),
        small_groups(3, "patient_sex"),
    )
    leaving = together(asked)
    assert leaving.attributes == {"Rows"}
    assert (leaving.facts, leaving.smallest) == (("age_band", "patient_sex"), 5)


WATERMARK = {"action": "mkt:watermark"}


@pytest.mark.parametrize(
    ("kept", "opened"), [([WATERMARK], True), ([{"action": "attribute"}], False), (["attribute"], False)]
)
def test_a_use_under_a_duty_that_the_delivery_does_not_carry_out_is_refused(
    house: House, kept: list[Any], opened: bool
) -> None:
    agree(house, with_duties(uses(duties=()), WATERMARK), files=1)
    prepare(house.runtime, "agr_1")
    rewrite(house, Delivery, "agr_1", transformations=kept)
    asked = Download("agr_1", UseRequest("model_training"))
    answer = opening.open_transfer(house.runtime, house.cast["pharma"].actor, asked, house.clock.now())
    assert isinstance(answer, Opened) == opened
    if isinstance(answer, Refused):
        assert answer.decision.reasons == ("obligation_not_applied",)
