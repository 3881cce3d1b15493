"""The policy by which a buyer answers: its seam with the contracts, a second judge, two engines on the same cases."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.negotiation.rounds.accepting import NOT_ACCEPTABLE
from marketplace.negotiation.rounds.rules import AcceptanceFacts
from marketplace.plumbing.policy import UNAVAILABLE, RegorusEngine
from tests.policies.test_access import POLICIES, contract, engine_with_tests
from tests.policies.test_real_opa import OPA, run

ENGINE = RegorusEngine(POLICIES)
PURPOSES = ("model_training", "statistics", "education")
BESIDE_THE_POINT = {
    ("now",),
    ("buyer", "id"),
    ("provider", "id"),
    ("rule", "counters"),
    ("contains_genomic",),
    ("buyer", "foreign_controlled"),
}
few = st.integers(0, 3)
mostly = st.sampled_from([True, True, True, False])
seldom = st.sampled_from([False, False, False, True])
FACTS = st.fixed_dictionaries(
    {
        "now": few,
        "move": st.sampled_from(["accept", "accept", "counter"]),
        "rule": st.fixed_dictionaries(
            {
                "purposes": st.lists(st.sampled_from(PURPOSES), max_size=3, unique=True),
                "price_at_most_fen": few,
                "price_per_use_at_most_fen": few,
                "rounds_at_most": few,
                "counters": st.booleans(),
            }
        ),
        "proposal": st.fixed_dictionaries(
            {
                "round": few,
                "offered": mostly,
                "purpose": st.sampled_from(PURPOSES),
                "price_fen": few,
                "price_per_use_fen": few,
                "changed": st.sampled_from([[], [], [], ["parameters"], ["starts_at"]]),
            }
        ),
        "provider": st.fixed_dictionaries({"id": st.just("prt_provider"), "verified": mostly, "suspended": seldom}),
        "buyer": st.fixed_dictionaries(
            {
                "id": st.just("prt_buyer"),
                "verified": mostly,
                "suspended": seldom,
                "foreign_controlled": st.booleans(),
                "overdue": st.sampled_from([[], [], [], ["use_report_missing"]]),
            }
        ),
        "contains_genomic": seldom,
    }
)


def judge(facts: dict[str, Any]) -> list[str]:
    """The same rule a second time, written from the words of `schemas.AcceptableIn`: the reasons for a person."""
    rule, proposal, buyer, provider = (facts[name] for name in ("rule", "proposal", "buyer", "provider"))
    found = {
        "move_for_people": facts["move"] == "counter" and not rule["counters"],
        "not_offered": not proposal["offered"],
        "purpose_for_people": proposal["purpose"] not in rule["purposes"],
        "price_too_high": proposal["price_fen"] > rule["price_at_most_fen"],
        "price_per_use_too_high": proposal["price_per_use_fen"] > rule["price_per_use_at_most_fen"],
        "terms_changed": bool(proposal["changed"]),
        "too_many_rounds": proposal["round"] > rule["rounds_at_most"],
        "provider_not_active": not provider["verified"] or provider["suspended"],
        "party_not_verified": not buyer["verified"],
        "party_suspended": buyer["suspended"],
        "proof_overdue": bool(buyer["overdue"]),
        "foreign_controlled_genomic": facts["contains_genomic"] and buyer["foreign_controlled"],
    }
    return sorted(code for code, holds in found.items() if holds)


@given(FACTS)
@settings(max_examples=300, deadline=None)
def test_a_second_judge_comes_to_the_same_answer_and_reasons(facts: dict[str, Any]) -> None:
    AcceptanceFacts.model_validate(facts)
    decision = ENGINE.decide("acceptance", facts)
    assert list(decision.reasons) == judge(facts)
    assert decision.allow is (decision.reasons == ())


@given(FACTS, st.data())
@settings(max_examples=100, deadline=None)
def test_a_missing_fact_never_turns_an_answer_into_a_yes(facts: dict[str, Any], data: st.DataObject) -> None:
    paths = [(name,) for name in facts] + [
        (name, inner) for name, one in facts.items() if isinstance(one, dict) for inner in one
    ]
    path = data.draw(st.sampled_from(paths))
    before = ENGINE.decide("acceptance", facts)
    holder = facts if len(path) == 1 else facts[path[0]]
    del holder[path[-1]]
    after = ENGINE.decide("acceptance", facts)
    assert before.allow or not after.allow
    assert not after.allow or path in BESIDE_THE_POINT


def test_reasons_are_those_of_the_contract_and_all_are_tested() -> None:
    folder = POLICIES / "acceptance"
    given_here = set(re.findall(r'reasons contains "(\w+)"', (folder / "acceptance.rego").read_text()))
    known = contract("policy/acceptance-reasons.json")
    assert given_here | {NOT_ACCEPTABLE, UNAVAILABLE} == set(known)
    tests = (folder / "acceptance_test.rego").read_text()
    assert {code for code in given_here if f'"{code}"' not in tests} == set()
    assert all(set(text) == {"en", "zh"} and all(text.values()) for text in known.values())


def test_input_schema_is_the_facts_model() -> None:
    committed, made = contract("policy/acceptance-input.schema.json"), AcceptanceFacts.model_json_schema()
    assert committed["properties"].pop("digest")
    committed["required"].remove("digest")
    assert {name: committed[name] for name in ("$defs", "properties", "required")} == {
        name: made[name] for name in ("$defs", "properties", "required")
    }
    assert committed["additionalProperties"] is False


def test_the_example_of_the_policy_tests_fits_both_schemas() -> None:
    engine = engine_with_tests()
    facts = engine.eval_rule("data.acceptance_test.good") | {"digest": "ab" * 32}
    jsonschema.validate(facts, contract("policy/acceptance-input.schema.json"))
    engine.set_input(facts)
    jsonschema.validate(
        engine.eval_rule("data.acceptance.decision"), contract("policy/negotiation-decision.schema.json")
    )


@pytest.mark.skipif(OPA is None, reason="no OPA here: `make check` builds it where Go is installed")
def test_opa_itself_comes_to_the_same_answers(tmp_path: Any) -> None:
    cases: list[dict[str, Any]] = []

    @given(FACTS)
    @settings(max_examples=300, deadline=None, database=None, derandomize=True)
    def gather(facts: dict[str, Any]) -> None:
        cases.append(json.loads(json.dumps(facts)) | {"digest": f"{len(cases)}"})

    gather()
    (tmp_path / "cases.json").write_text(json.dumps({"cases": cases}))
    query = "[answer | some one in data.cases; answer := data.acceptance.decision with input as one]"
    ran = run("eval", "-f", "raw", "-d", str(POLICIES), "-d", str(tmp_path / "cases.json"), query)
    answers = json.loads(ran.stdout)
    assert len(answers) == len(cases) >= 200
    assert [one["reasons"] for one in answers] == [judge(one) for one in cases]
    assert [one["allow"] for one in answers] == [not judge(one) for one in cases]
    assert {one["allow"] for one in answers} == {True, False}
