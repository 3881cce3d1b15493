"""The profile that keeps engines equal: its lint finds what lies outside, and OPA agrees on every built-in inside."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import regorus

from marketplace.plumbing.policyprofile import BUILT_INS, offences
from tests.policies.test_access import POLICIES, ROOT
from tests.policies.test_real_opa import OPA

TEXTS = [(path.relative_to(POLICIES).as_posix(), path.read_text("utf-8")) for path in sorted(POLICIES.rglob("*.rego"))]


def test_every_policy_and_policy_test_keeps_to_the_profile() -> None:
    assert len(TEXTS) > 5
    assert offences(TEXTS) == []


@pytest.mark.parametrize(
    "line",
    [
        "x := io.jwt.decode(input.t)",
        'x := crypto.sha256("a")',
        'x := http.send({"url": "u"})',
        "x := time.now_ns()",
        "x := time.add_date(1, 0, 1, 0)",
        'x := time.parse_rfc3339_ns("2026-11-21T10:00:00Z")',
        'x := rand.intn("a", 3)',
        "x := opa.runtime()",
        'x if glob.match("a:*", [":"], input.x)',
        'x := sprintf("%v", [1])',
        "x := to_number(input.x)",
        "x := json.patch(input.a, [])",
        "x := nowhere.covers(1, 2)",
        'x := $"a{input.b}"',
        "x if y with input as {}",
        "x if y with data.lib.z as {}",
        "allow if count(deny) == 0",
        "x if input.y == 0.1",
        "x if input.y == 1e3",
        "x := input.y / 2",
        r"x if regex.match(`^\d+$`, input.y)",
        'x if regex.match("(?i)a", input.y)',
        'x if input.y in {"", input.z}',
        "x if input.y in [data.a.b]",
        "import input.asked as asked",
        "default x = false",
    ],
)
def test_each_thing_outside_the_profile_is_found(line: str) -> None:
    assert offences([("a.rego", f"package a\n\nimport rego.v1\n\n{line}\n")]) != []


@pytest.mark.parametrize(
    "line",
    [
        '# time.now_ns() and 0.5 / 2 in a comment "',
        'x := "http.send(0.5) in {input.a}"',
        "x := `count(deny) == 0`",
        "targets := {input.a, input.b}\n\nx if input.y in targets",
        "x if regex.match(`^[0-9]{1,4}$`, input.y)",
        "f(one) := one\n\nx := f(input.y)",
        "x if {\n\tsome one in (input.a | input.b)\n}",
    ],
)
def test_what_the_profile_allows_is_not_named(line: str) -> None:
    assert offences([("a.rego", f"package a\n\nimport rego.v1\n\n{line}\n")]) == []


def test_a_policy_without_the_present_syntax_is_named_and_tests_may_replace_facts() -> None:
    assert [one.what for one in offences([("a.rego", "package a\n")])] == ["no rego.v1 import"]
    assert offences([("a_test.rego", 'package a_test\n\ntest_x if y with input as object.union({}, {"a": 1})\n')]) == []


def test_the_command_names_the_file_and_fails(tmp_path) -> None:
    (tmp_path / "a.rego").write_text("package a\n\nimport rego.v1\n\nx := time.now_ns()\n")
    for folder, code, words in ((tmp_path, 1, "a.rego: built-in time.now_ns"), (POLICIES, 0, "keeps to the profile")):
        command = [sys.executable, "-m", "marketplace", "policy", "lint", "--policies", str(folder)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == code
        assert words in done.stdout + done.stderr


# Expressions on both sides of what each built-in must decide: empty, foreign kinds, other alphabets, order.
EXPRESSIONS = {
    "array.concat": ["array.concat([1], [2, []])", "array.concat([], [])"],
    "concat": ['concat(",", ["a", "é", "胸"])', 'concat("", [])', 'concat("-", {"b", "a"})'],
    "count": ['count("胸部CT")', "count([])", "count({1, 1})", 'count({"a": 1})'],
    "endswith": ['endswith("胸部", "部")', 'endswith("a", "")', 'endswith("", "a")'],
    "intersection": ["intersection({{1, 2}, {2}})", "intersection({{1}, {2}})"],
    "is_array": ["is_array([])", "is_array({1})"],
    "is_boolean": ["is_boolean(false)", "is_boolean(0)"],
    "is_number": ["is_number(0)", 'is_number("0")'],
    "is_object": ["is_object({})", "is_object([])"],
    "is_string": ['is_string("")', "is_string(null)"],
    "max": ["max([1, 3, 2])", 'max({"b", "a"})', "max([])"],
    "min": ["min([9007199254740991, -1])", "min([[1], [0]])", "min([])"],
    "object.get": [
        'object.get({"a": null}, "a", 1)',
        'object.get({}, "a", 1)',
        'object.get({"a": {"b": 2}}, ["a", "b"], 0)',
    ],
    "object.keys": ['object.keys({"b": 1, "a": 2})', "object.keys({})"],
    "regex.match": [
        "regex.match(`^[A-Z]{2}$`, `CN`)",
        "regex.match(`^[A-Z]{2}$`, `CN\\n`)",
        "regex.match(`^P[1-9][0-9]{0,3}D$`, `P٣D`)",
    ],
    "sort": ['sort(["b", "a", "B", "é"])', "sort({3, 1, 2})", 'sort([null, true, 1, "a", [], {}])'],
    "startswith": ['startswith("胸部", "胸")', 'startswith("", "")'],
    "sum": ["sum([1, 2, 3])", "sum([])", "sum({9007199254740000, 991})"],
    "union": ["union({{1}, {2}})", "union(set())"],
}


def test_every_built_in_of_the_profile_has_expressions() -> None:
    assert set(EXPRESSIONS) == BUILT_INS


@pytest.mark.skipif(OPA is None, reason="no OPA here: `make check` builds it where Go is installed")
def test_opa_and_the_engine_in_process_agree_on_every_built_in(tmp_path) -> None:
    lines = [one for name in sorted(EXPRESSIONS) for one in EXPRESSIONS[name]]
    rules = "\n".join(f"x{number} := {line}" for number, line in enumerate(lines))
    (tmp_path / "a.rego").write_text(f"package a\n\nimport rego.v1\n\n{rules}\n")
    done = subprocess.run(
        [str(OPA), "eval", "-d", str(tmp_path), "data.a", "--format=values"], capture_output=True, text=True, check=True
    )
    (theirs,) = json.loads(done.stdout)
    engine = regorus.Engine()
    engine.add_policy("a.rego", (tmp_path / "a.rego").read_text())
    for number, line in enumerate(lines):
        value = json.loads(engine.eval_query_as_json(f"data.a.x{number}"))
        mine = value["result"][0]["expressions"][0]["value"] if value.get("result") else None
        assert mine == theirs.get(f"x{number}"), line
