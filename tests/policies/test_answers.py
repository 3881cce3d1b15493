"""The policies by which rules answer: their seams with the contracts, a second judge, two engines on the same cases."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.plumbing.policy import UNAVAILABLE, RegorusEngine
from tests.policies.packages import PACKAGES, Package
from tests.policies.test_access import POLICIES, contract, engine_with_tests
from tests.policies.test_real_opa import OPA, run

ENGINE = RegorusEngine(POLICIES)
pytestmark = pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_second_judge_comes_to_the_same_answer_and_reasons(package: Package, data: st.DataObject) -> None:
    facts = data.draw(package.facts)
    package.model.model_validate(facts)
    decision = ENGINE.decide(package.name, facts)
    assert list(decision.reasons) == package.judge(facts)
    assert decision.allow is (decision.reasons == ())


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_missing_fact_never_turns_an_answer_into_a_yes(package: Package, data: st.DataObject) -> None:
    facts = data.draw(package.facts)
    paths = [(name,) for name in facts] + [
        (name, inner) for name, one in facts.items() if isinstance(one, dict) for inner in one
    ]
    path = data.draw(st.sampled_from(paths))
    before = ENGINE.decide(package.name, facts)
    holder = facts if len(path) == 1 else facts[path[0]]
    del holder[path[-1]]
    after = ENGINE.decide(package.name, facts)
    assert before.allow or not after.allow
    assert not after.allow or path in package.beside_the_point


def test_reasons_are_those_of_the_contract_and_all_are_tested(package: Package) -> None:
    folder = POLICIES / package.name
    given_here = set(re.findall(r'reasons contains "(\w+)"', (folder / f"{package.name}.rego").read_text()))
    known = contract(f"policy/{package.name}-reasons.json")
    assert given_here | {package.undecided, UNAVAILABLE} == set(known)
    tests = (folder / f"{package.name}_test.rego").read_text()
    assert {code for code in given_here if f'"{code}"' not in tests} == set()
    assert all(set(text) == {"en", "zh"} and all(text.values()) for text in known.values())


def test_input_schema_is_the_facts_model(package: Package) -> None:
    committed, made = contract(f"policy/{package.name}-input.schema.json"), package.model.model_json_schema()
    assert committed["properties"].pop("digest")
    committed["required"].remove("digest")
    assert {name: committed[name] for name in ("$defs", "properties", "required")} == {
        name: made[name] for name in ("$defs", "properties", "required")
    }
    assert committed["additionalProperties"] is False


def test_the_example_of_the_policy_tests_fits_both_schemas(package: Package) -> None:
    engine = engine_with_tests()
    facts = engine.eval_rule(f"data.{package.name}_test.good") | {"digest": "ab" * 32}
    jsonschema.validate(facts, contract(f"policy/{package.name}-input.schema.json"))
    engine.set_input(facts)
    jsonschema.validate(
        engine.eval_rule(f"data.{package.name}.decision"), contract("policy/negotiation-decision.schema.json")
    )


@pytest.mark.skipif(OPA is None, reason="no OPA here: `make check` builds it where Go is installed")
def test_opa_itself_comes_to_the_same_answers(package: Package, tmp_path: Any) -> None:
    cases: list[dict[str, Any]] = []

    @given(package.facts)
    @settings(max_examples=400, deadline=None, database=None, derandomize=True)
    def gather(facts: dict[str, Any]) -> None:
        cases.append(json.loads(json.dumps(facts)) | {"digest": f"{len(cases)}"})

    gather()
    (tmp_path / "cases.json").write_text(json.dumps({"cases": cases}))
    query = f"[answer | some one in data.cases; answer := data.{package.name}.decision with input as one]"
    ran = run("eval", "-f", "raw", "-d", str(POLICIES), "-d", str(tmp_path / "cases.json"), query)
    answers = json.loads(ran.stdout)
    assert len(answers) == len(cases) >= 300
    assert [one["reasons"] for one in answers] == [package.judge(one) for one in cases]
    assert [one["allow"] for one in answers] == [not package.judge(one) for one in cases]
    assert {one["allow"] for one in answers} == {True, False}
