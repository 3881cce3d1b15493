from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.kernel.actor import Role
from marketplace.legal import checklist as checklists
from marketplace.legal import rules
from marketplace.legal.rules import Finding, Outcome, Result

NOW = datetime(2026, 9, 1, tzinfo=UTC)
LIST = checklists.current()
PROOF = ("a" * 64,)
BLOCKING = sorted(number for number, item in LIST.items.items() if item.severity == "B")
CONDITIONAL = sorted(number for number, item in LIST.items.items() if item.severity == "C")


def complete(**other: Finding) -> list[Finding]:
    by_item = {one.item: one for one in other.values()}
    return [by_item.get(number, Finding(number, Result.MET, evidence=PROOF)) for number in LIST.items]


def open_item(number: int, result: Result = Result.MET_WITH_CONDITION) -> Finding:
    return Finding(number, result, condition="do it", owner="prt_x", due=NOW + timedelta(days=30))


def test_the_checklist_has_24_items_in_two_languages_with_the_severities_of_the_domain_facts():
    assert sorted(LIST.items) == list(range(1, 25))
    assert CONDITIONAL == [2, 9, 16, 17, 18, 19, 20, 23, 24]
    assert len(BLOCKING) == 15
    assert all(item["text"]["en"] and item["text"]["zh"] and item["evidence"] for item in LIST.content["items"])


def test_a_new_version_reopens_exactly_the_items_of_a_delta_opinion():
    assert rules.reopened(LIST) == [3, 7, 8, 9, 10, 12, 13, 14, 15, 20]


def test_nothing_open_is_a_pass():
    assert rules.outcome(LIST, complete(), NOW) == Outcome.PASS


@pytest.mark.parametrize("number", BLOCKING)
def test_any_blocking_item_not_met_fails(number: int):
    assert rules.outcome(LIST, complete(a=Finding(number, Result.NOT_MET)), NOW) == Outcome.FAIL


@pytest.mark.parametrize("number", CONDITIONAL)
@pytest.mark.parametrize("result", [Result.NOT_MET, Result.MET_WITH_CONDITION])
def test_an_open_item_that_may_be_conditional_makes_the_opinion_conditional(number: int, result: Result):
    assert rules.outcome(LIST, complete(a=open_item(number, result)), NOW) == Outcome.CONDITIONAL


def test_a_failed_blocking_item_outweighs_conditions():
    both = complete(a=open_item(19), b=Finding(4, Result.NOT_MET))
    assert rules.outcome(LIST, both, NOW) == Outcome.FAIL


@pytest.mark.parametrize("number", BLOCKING)
def test_a_blocking_item_cannot_be_conditional(number: int):
    with pytest.raises(rules.UnsupportedFinding, match="cannot be conditional"):
        rules.outcome(LIST, complete(a=open_item(number)), NOW)


@pytest.mark.parametrize(
    "lacking",
    [
        Finding(19, Result.NOT_MET),
        Finding(19, Result.MET_WITH_CONDITION, condition="x", owner="y"),
        Finding(19, Result.MET_WITH_CONDITION, condition="x", due=NOW + timedelta(days=1)),
        Finding(19, Result.MET_WITH_CONDITION, owner="y", due=NOW + timedelta(days=1)),
        Finding(19, Result.MET_WITH_CONDITION, condition="x", owner="y", due=NOW),
        Finding(1, Result.MET),
        Finding(19, Result.MET),
        Finding(22, Result.NOT_APPLICABLE),
        Finding(7, Result.NOT_APPLICABLE, note="we would rather not say"),
    ],
)
def test_a_finding_without_what_its_answer_needs_is_refused(lacking: Finding):
    with pytest.raises(rules.UnsupportedFinding):
        rules.outcome(LIST, complete(a=lacking), NOW)


def test_an_item_that_may_not_apply_is_answered_so_with_a_note():
    note = Finding(22, Result.NOT_APPLICABLE, note="decided per transaction")
    assert rules.outcome(LIST, complete(a=note), NOW) == Outcome.PASS


@pytest.mark.parametrize(
    "answers",
    [complete()[1:], [*complete(), Finding(1, Result.MET, evidence=PROOF)], [*complete(), Finding(25, Result.MET)]],
    ids=["one missing", "one twice", "one unknown"],
)
def test_every_item_is_answered_exactly_once(answers: list[Finding]):
    with pytest.raises(rules.IncompleteChecklist):
        rules.outcome(LIST, answers, NOW)


def test_carrying_over_keeps_only_what_a_new_version_does_not_reopen():
    earlier = {one.item: one for one in complete()}
    fresh = [Finding(number, Result.MET, evidence=("b" * 64,)) for number in rules.reopened(LIST)]
    carried = rules.carry(LIST, earlier, fresh)
    assert [one.item for one in carried] == list(range(1, 25))
    assert {one.item for one in carried if one.evidence == PROOF} == set(LIST.items) - set(rules.reopened(LIST))
    with pytest.raises(rules.IncompleteChecklist):
        rules.outcome(LIST, rules.carry(LIST, earlier, fresh[1:]), NOW)


@pytest.mark.parametrize("role", sorted(Role))
def test_independence_the_assessor_is_a_law_firm_and_nothing_else(role: Role):
    roles = {Role.LAW_FIRM, role}
    if role in {Role.LAW_FIRM, Role.AUDITOR}:
        rules.require_independent("prt_firm", roles, "prt_hospital")
    else:
        with pytest.raises(rules.NotIndependent):
            rules.require_independent("prt_firm", roles, "prt_hospital")
    if role != Role.LAW_FIRM:
        with pytest.raises(rules.NotIndependent):
            rules.require_independent("prt_firm", {role}, "prt_hospital")


def test_independence_nobody_assesses_its_own_asset():
    with pytest.raises(rules.NotIndependent, match="own asset"):
        rules.require_independent("prt_firm", {Role.LAW_FIRM}, "prt_firm")


@pytest.mark.parametrize("stage", ["draft", "collected", "suspended", "retired"])
def test_a_version_at_another_stage_is_not_assessed(stage: str):
    with pytest.raises(rules.NotAssessable):
        rules.require_assessable("governed", stage, "f" * 64)


def test_a_raw_version_is_never_assessed():
    with pytest.raises(rules.NotAssessable):
        rules.require_assessable("raw", "governed", "f" * 64)


def test_an_opinion_lives_twelve_months_at_most():
    assert rules.expiry(NOW, None) == datetime(2027, 9, 1, tzinfo=UTC)
    assert rules.expiry(NOW, NOW + timedelta(days=5)) == NOW + timedelta(days=5)
    for wrong in (NOW, datetime(2027, 9, 1, 0, 0, 1, tzinfo=UTC)):
        with pytest.raises(rules.OpinionTooLong):
            rules.expiry(NOW, wrong)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)), st.integers(-120, 120))  # noqa: DTZ001 - hypothesis wants naive bounds
def test_months_later_keeps_the_day_or_takes_the_last_of_the_month(moment: datetime, months: int):
    later = rules.months_later(moment, months)
    assert (later.year * 12 + later.month) - (moment.year * 12 + moment.month) == months
    assert later.day == moment.day or (later + timedelta(days=1)).day == 1
