"""The Rego tests of `policies/`, the seam between policy and contracts, and the profile that keeps engines equal."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import regorus

from marketplace.plumbing.policy import PolicyFiles, RegorusEngine
from marketplace.plumbing.soundness import LOG_NOT_SOUND
from marketplace.usage import obligations, rules
from marketplace.usage.facts import CONTEXT, AccessFacts

ROOT = Path(__file__).resolve().parents[2]
POLICIES = ROOT / "policies"
CONTRACTS = ROOT / "contracts"
TEST_RULE = re.compile(r"^(test_\w+) if", re.MULTILINE)


def contract(name: str):
    return json.loads((CONTRACTS / name).read_text("utf-8"))


def engine_with_tests() -> regorus.Engine:
    engine = PolicyFiles(POLICIES).load()
    for path in sorted(POLICIES.rglob("*_test.rego")):
        engine.add_policy_from_file(str(path))
    return engine


def rule_names() -> list[str]:
    found = []
    for path in sorted(POLICIES.rglob("*_test.rego")):
        text = path.read_text("utf-8")
        package = re.search(r"^package (\S+)", text, re.MULTILINE).group(1)
        found += [f"data.{package}.{name}" for name in TEST_RULE.findall(text)]
    return found


RULES = rule_names()


@pytest.mark.parametrize("rule", RULES)
def test_rego_test_holds(rule):
    assert engine_with_tests().eval_rule(rule) is True


def test_every_reason_a_policy_can_give_is_in_the_contract_and_tested():
    text = (POLICIES / "access" / "access.rego").read_text() + (POLICIES / "lib" / "constraints.rego").read_text()
    given = set(re.findall(r'reasons contains "(\w+)"', text)) | set(re.findall(r'reason_of\(\w+\) := "(\w+)"', text))
    known = contract("policy/reasons.json")
    assert given <= set(known)
    ours = {
        rules.EPOCH_CHANGED,
        rules.QUOTA_EXCEEDED,
        rules.OBLIGATION_NOT_APPLIED,
        rules.NOTHING_REMAINS,
        rules.EXPIRED,
        "policy_unavailable",
        LOG_NOT_SOUND,
    }
    assert given | ours == set(known)
    tests = "".join(path.read_text() for path in POLICIES.rglob("*_test.rego"))
    assert {code for code in given if f'"{code}"' not in tests} == set()
    assert all(set(text) == {"en", "zh", "clause"} and all(text.values()) for text in known.values())


def test_every_line_of_the_policies_is_reached_by_their_tests():
    engine = engine_with_tests()
    engine.set_enable_coverage(True)
    for rule in RULES:
        engine.eval_rule(rule)
    report = json.loads(engine.get_coverage_report_as_json())
    missed = {file["path"]: file["not_covered"] for file in report["files"] if not file["path"].endswith("_test.rego")}
    assert {path: lines for path, lines in missed.items() if lines} == {}


def test_policy_vocabulary_is_the_contract_profile():
    vocabulary = json.loads((POLICIES / "lib" / "vocabulary" / "data.json").read_text("utf-8"))
    profile = contract("odrl/profile.json")
    purposes = contract("odrl/purposes.json")
    operands = profile["left_operands"]
    lists = profile["values"] | {"purpose": purposes["known"]}
    words = {name: list(lists[one["value"]]) for name, one in operands.items() if one["value"] in lists}
    numeric = {"integer", "decimal", "moment", "days"}
    numbers = [name for name, one in operands.items() if one["value"] in numeric]
    forms, duty_forms, due = vocabulary.pop("forms"), vocabulary.pop("duty_forms"), profile["duty_operands"]
    assert vocabulary == {
        "profile": profile["id"],
        "actions": list(profile["actions"]),
        "included_in": {name: "use" for name in profile["actions"] if name != "use"},
        "operators": {name: one["operators"] for name, one in operands.items()},
        "most_values": {"eq": 1, "isAnyOf": 1000},
        "numbers": numbers,
        "words": words,
        "duties": {name: one["operands"] for name, one in profile["duties"].items() if "any_of" not in one},
        "duty_choices": {name: one["any_of"] for name, one in profile["duties"].items() if "any_of" in one},
        "duty_operators": {name: one["operators"] for name, one in due.items()},
        "duty_numbers": [name for name, one in due.items() if one["value"] in {"integer", "year"}],
        "duty_words": {name: list(lists[one["value"]]) for name, one in due.items() if one["value"] in lists},
        "prohibitions": list(profile["prohibitions"]),
        "purposes_denied_always": list(purposes["denied_always"]),
    }
    assert set(forms) == set(operands) - set(words) - set(numbers)
    assert set(duty_forms) == set(due) - set(vocabulary["duty_numbers"]) - set(vocabulary["duty_words"])
    elements = contract("governance/allowed-elements.json")
    for name, known in (
        ("mkt:modality", elements["words"]["modality"]),
        ("mkt:bodyPart", elements["words"]["body_part"]),
        ("mkt:attribute", [one["keyword"] for one in elements["elements"]]),
    ):
        assert [one for one in known if not re.search(duty_forms[name], one)] == []
    assert set(purposes["known"]) | set(purposes["denied_always"]) == rules.PURPOSES
    assert set(profile["actions"]) | set(profile["prohibitions"]) == rules.ACTIONS
    assert profile["context"] == CONTEXT
    assert {str(one) for one in obligations.Transformation} <= set(profile["duties"])


def test_input_schema_is_the_facts_model():
    committed = contract("policy/access-input.schema.json")
    made = AccessFacts.model_json_schema()
    assert committed["properties"].pop("digest")
    committed["required"].remove("digest")
    assert committed["$defs"] == made["$defs"]
    assert committed["properties"] == made["properties"]
    assert committed["required"] == made["required"]
    assert committed["additionalProperties"] is False


def test_example_of_the_policy_tests_fits_the_input_schema_and_its_answer_the_decision_schema():
    engine = engine_with_tests()
    facts = engine.eval_rule("data.access_test.facts")
    jsonschema.validate(facts, contract("policy/access-input.schema.json"))
    del facts["digest"]
    assert AccessFacts.model_validate(facts)
    engine.set_input(engine.eval_rule("data.access_test.facts"))
    jsonschema.validate(engine.eval_rule("data.access.decision"), contract("policy/access-decision.schema.json"))


def test_each_policy_has_metadata_and_the_decision_is_the_only_entrypoint():
    texts = {path.name: path.read_text("utf-8") for path in POLICIES.rglob("*.rego") if "_test" not in path.name}
    assert all(text.startswith("# METADATA\n# title: ") for text in texts.values())
    answering = [name for name, text in texts.items() if "# entrypoint: true\ndecision := " in text]
    assert sorted(answering) == ["acceptance.rego", "access.rego", "negotiation.rego"]


def test_revision_names_exact_policies_and_ignores_tests(tmp_path):
    def revision(**files: str) -> str:
        for name, text in files.items():
            (tmp_path / name.replace("__", ".")).write_text(text)
        return PolicyFiles(tmp_path).revision

    first = revision(a__rego="package a\n")
    assert revision(a_test__rego="package a_test\n") == first
    assert revision(b__rego="package b\n") != first
    assert revision(b__rego="package c\n") != revision(b__rego="package b\n")
    (tmp_path / "b.rego").unlink()
    assert PolicyFiles(tmp_path).revision == first
    assert RegorusEngine(POLICIES).revision == PolicyFiles(POLICIES).revision
