"""Where a policy leaves the closed profile.

Nothing unknown is ever filtered away: a policy with one unknown term is refused whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from marketplace.exchange.terms.profile import (
    DEEPEST,
    LOGIC,
    LOGIC_REFUSED,
    PROFILE,
    Enforcement,
    group_operator,
    misfit,
)
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Invalid

_RULE_SET = {"@context", "@type", "profile", "permission"}
_PARTIES = {"@id", "assigner", "assignee", "target", "timestamp"}
_REQUIRED = {"Offer": _RULE_SET, "Agreement": _RULE_SET | _PARTIES}
_OPTIONAL = {"Offer": {"prohibition", "@id", "assigner"}, "Agreement": {"prohibition"}}


class UnknownTerm(Invalid):
    """The policy says something that the profile does not know."""

    def __init__(self, finding: Finding, count: int) -> None:
        super().__init__(
            f"{finding.pointer or '/'}: {finding.detail}" + (f" (and {count - 1} more)" if count > 1 else ""),
            expected=finding.expected,
            got=finding.got[:200],
            action="use only the terms of contracts/odrl/profile.json",
        )
        self.pointer = finding.pointer


class NoEnforcementPoint(Invalid):
    """The policy permits something without a purpose that can be enforced."""


@dataclass(frozen=True)
class Finding:
    """One place where a policy leaves the profile.  pointer: RFC 6901."""

    pointer: str
    detail: str
    expected: str
    got: str


def check_terms(uses: Json) -> None:
    """Refuse a policy that leaves the profile or grants without an enforceable purpose.

    Raises UnknownTerm with the RFC 6901 pointer of the first finding, or NoEnforcementPoint.
    """
    found = list(findings(uses))
    if found:
        raise UnknownTerm(found[0], len(found))
    for place, permission in enumerate(uses["permission"]):
        # A purpose inside a group does not count: another branch of the group could grant without any.
        operands = {constraint.get("leftOperand", "a group") for constraint in permission["constraint"]}
        point = PROFILE["left_operands"]["purpose"]["enforcement"]
        if "purpose" not in operands or point != Enforcement.ENFORCED_HERE:
            raise NoEnforcementPoint(
                f"/permission/{place} names no purpose, so nothing could be enforced",
                expected="a purpose constraint in every permission",
                got=", ".join(sorted(operands)),
            )


def findings(uses: Any) -> Iterator[Finding]:
    """Every place where a policy leaves the profile, in reading order."""
    if not isinstance(uses, dict):
        yield _not(uses, "", "a policy object")
        return
    kind = uses.get("@type")
    if not isinstance(kind, str) or kind not in _REQUIRED:
        yield _not(kind, "/@type", "Offer or Agreement")
        return
    yield from _members(uses, "", _REQUIRED[kind], _OPTIONAL[kind])
    for name, expected in (("@context", PROFILE["context"]), ("profile", PROFILE["id"])):
        if name in uses and uses[name] != expected:
            yield _not(uses[name], f"/{name}", json.dumps(expected))
    for name in ("@id", "assigner", "assignee", "target"):
        if name in uses:
            yield from _value("participant", uses[name], f"/{name}")
    if "timestamp" in uses:
        yield from _value("moment", uses["timestamp"], "/timestamp")
    yield from _rules(uses, "permission", "", "actions")
    yield from _rules(uses, "prohibition", "", "prohibitions")


def _rules(parent: Json, name: str, at: str, table: str) -> Iterator[Finding]:
    if name not in parent:
        return
    rules = parent[name]
    if not isinstance(rules, list) or not rules:
        yield _not(rules, f"{at}/{name}", "a list with at least one rule")
        return
    for place, rule in enumerate(rules):
        yield from _rule(rule, f"{at}/{name}/{place}", table)


def _rule(rule: Any, at: str, table: str) -> Iterator[Finding]:
    if not isinstance(rule, dict):
        yield _not(rule, at, "a rule object")
        return
    action = rule.get("action")
    if not isinstance(action, str) or action not in PROFILE[table]:
        yield _not(action, f"{at}/action", "one of " + ", ".join(PROFILE[table]))
        return
    if table == "actions":
        yield from _members(rule, at, {"action", "target", "constraint"}, {"duty"})
        yield from _constraints(rule, "constraint", at, PROFILE["left_operands"], DEEPEST)
        yield from _rules(rule, "duty", at, "duties")
    elif table == "duties":
        yield from _duty(rule, action, at)
    else:
        yield from _members(rule, at, {"action"}, set())
    if "target" in rule:
        yield from _value("participant", rule["target"], f"{at}/target")


def _duty(rule: Json, action: str, at: str) -> Iterator[Finding]:
    each, choice = PROFILE["duties"][action]["operands"], PROFILE["duties"][action].get("any_of", [])
    operands = {name: PROFILE["duty_operands"][name] for name in (*each, *choice)}
    yield from _members(rule, at, {"action", "constraint"} if operands else {"action"}, set())
    yield from _constraints(rule, "constraint", at, operands, 0)
    limits = rule.get("constraint")
    if each and isinstance(limits, list):
        named = [str(one.get("leftOperand")) if isinstance(one, dict) else "?" for one in limits]
        if named != each:
            yield Finding(f"{at}/constraint", "must name each operand once", ", ".join(each), ", ".join(named))


def _constraints(holder: Json, name: str, at: str, operands: Json, deeper: int) -> Iterator[Finding]:
    """deeper: how many groups may still stand inside one another."""
    if name not in holder:
        return
    constraints = holder[name]
    if not isinstance(constraints, list) or not constraints:
        yield _not(constraints, f"{at}/{name}", "a list with at least one constraint")
        return
    for place, constraint in enumerate(constraints):
        yield from _constraint(constraint, f"{at}/{name}/{place}", operands, deeper)


def _constraint(constraint: Any, at: str, operands: Json, deeper: int) -> Iterator[Finding]:
    if not isinstance(constraint, dict):
        yield _not(constraint, at, "a constraint object")
        return
    if refused := next((name for name in LOGIC_REFUSED if name in constraint), None):
        yield Finding(f"{at}/{refused}", f"is refused: {LOGIC_REFUSED[refused]}", " or ".join(LOGIC), refused)
    elif (group := group_operator(constraint)) is None:
        yield from _comparison(constraint, at, operands)
    elif not deeper:
        yield Finding(f"{at}/{group}", "is nested too deep", f"at most {DEEPEST} groups, none in a duty", group)
    else:
        yield from _members(constraint, at, {group}, set())
        yield from _constraints(constraint, group, at, operands, deeper - 1)


def _comparison(constraint: Json, at: str, operands: Json) -> Iterator[Finding]:
    yield from _members(constraint, at, {"leftOperand", "operator", "rightOperand"}, set())
    operand, operator = constraint.get("leftOperand"), constraint.get("operator")
    if not isinstance(operand, str) or operand not in operands:
        yield _not(operand, f"{at}/leftOperand", "one of " + ", ".join(operands))
        return
    if operator not in operands[operand]["operators"]:
        yield _not(operator, f"{at}/operator", "one of " + ", ".join(operands[operand]["operators"]))
        return
    kind, value, place = operands[operand]["value"], constraint.get("rightOperand"), f"{at}/rightOperand"
    if operator != "isAnyOf":
        yield from _value(kind, value, place)
    elif not isinstance(value, list) or not value or len({json.dumps(one) for one in value}) != len(value):
        yield _not(value, place, "a list of different values, at least one")
    else:
        for number, one in enumerate(value):
            yield from _value(kind, one, f"{place}/{number}")


def _value(kind: str, value: Any, at: str) -> Iterator[Finding]:
    if expected := misfit(kind, value):
        yield _not(value, at, expected)


def _members(holder: Json, at: str, required: set[str], optional: set[str]) -> Iterator[Finding]:
    for name in sorted(required - set(holder)):
        yield Finding(f"{at}/{name}", "is missing", "present", "nothing")
    for name in holder:
        if name not in required | optional:
            escaped = str(name).replace("~", "~0").replace("/", "~1")
            yield Finding(f"{at}/{escaped}", "unknown member", " or ".join(sorted(required | optional)), str(name))


def _not(value: Any, at: str, expected: str) -> Finding:
    return Finding(at, "is not a term of the profile", expected, json.dumps(value, ensure_ascii=False, default=str))
