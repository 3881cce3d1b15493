"""The closed ODRL profile: what a permission may say here, and which of it is enforced where.

Nothing unknown is ever filtered away: a policy with one unknown term is refused whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from marketplace.kernel.canonical import MAX_INTEGER, Json
from marketplace.kernel.errors import Invalid

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
PROFILE: Json = json.loads((CONTRACTS / "odrl" / "profile.json").read_text("utf-8"))
PURPOSES: Json = json.loads((CONTRACTS / "odrl" / "purposes.json").read_text("utf-8"))

_RULE_SET = {"@context", "@type", "profile", "permission"}
_PARTIES = {"@id", "assigner", "assignee", "target", "timestamp"}
_REQUIRED = {"Offer": _RULE_SET, "Agreement": _RULE_SET | _PARTIES}
_OPTIONAL = {"Offer": {"prohibition", "@id", "assigner"}, "Agreement": {"prohibition"}}
_FORMS = {
    "participant": re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{2,127}"),
    "decimal": re.compile(r"[1-9][0-9]{0,15}"),
    "moment": re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{6})?Z"),
    "days": re.compile(r"P[1-9][0-9]{0,3}D"),
}


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


class Enforcement(StrEnum):
    """Who makes sure that a term is kept."""

    ENFORCED_HERE = "enforced_here"
    ATTESTED_BY_BUYER = "attested_by_buyer"
    LEGAL_ONLY = "legal_only"


@dataclass(frozen=True)
class Finding:
    """One place where a policy leaves the profile.  pointer: RFC 6901."""

    pointer: str
    detail: str
    expected: str
    got: str


@dataclass(frozen=True)
class Term:
    """One term of a policy: where it stands, what it is, who makes sure of it."""

    pointer: str
    term: str
    kind: Enforcement


@dataclass(frozen=True)
class Quota:
    """The amounts a policy grants; None means without limit."""

    max_uses: int | None
    max_bytes: int | None


def check_terms(uses: Json) -> None:
    """Refuse a policy that leaves the profile or grants without an enforceable purpose.

    Raises UnknownTerm with the RFC 6901 pointer of the first finding, or NoEnforcementPoint.
    """
    found = list(findings(uses))
    if found:
        raise UnknownTerm(found[0], len(found))
    for place, permission in enumerate(uses["permission"]):
        operands = {constraint["leftOperand"] for constraint in permission["constraint"]}
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


def enforcement(uses: Json) -> list[Term]:
    """Every term of a checked policy with who makes sure of it, in reading order."""
    terms: list[Term] = []
    for place, permission in enumerate(uses["permission"]):
        at = f"/permission/{place}"
        terms.append(_term(f"{at}/action", "actions", permission["action"]))
        for number, constraint in enumerate(permission["constraint"]):
            terms.append(_term(f"{at}/constraint/{number}", "left_operands", constraint["leftOperand"]))
        for number, duty in enumerate(permission.get("duty", [])):
            terms.append(_term(f"{at}/duty/{number}", "duties", duty["action"]))
    for place, prohibition in enumerate(uses.get("prohibition", [])):
        terms.append(_term(f"/prohibition/{place}", "prohibitions", prohibition["action"]))
    return terms


def enforced_permille(terms: list[Term]) -> int:
    """The share of terms that this service enforces by itself, in thousandths, rounded down."""
    here = sum(1 for term in terms if term.kind is Enforcement.ENFORCED_HERE)
    return here * 1000 // len(terms) if terms else 0


def enforcement_table(uses: Json) -> list[Json]:
    """The terms with their enforcement as plain data, for documents and answers."""
    return [{"pointer": one.pointer, "term": one.term, "enforcement": one.kind.value} for one in enforcement(uses)]


def permitted_purposes(uses: Json) -> frozenset[str]:
    """Purposes that at least one permission of a checked policy allows; several constraints all bind."""
    allowed: set[str] = set()
    for permission in uses["permission"]:
        sets = [_as_set(one["rightOperand"]) for one in permission["constraint"] if one["leftOperand"] == "purpose"]
        allowed |= frozenset.intersection(*sets) if sets else frozenset()
    return frozenset(allowed)


def quota(uses: Json) -> Quota:
    """The strictest use count and volume of a checked policy."""
    limits: dict[str, list[int]] = {"count": [], "mkt:volumeBytes": []}
    for permission in uses["permission"]:
        for one in permission["constraint"]:
            if one["leftOperand"] in limits:
                limits[one["leftOperand"]].append(int(one["rightOperand"]))
    return Quota(min(limits["count"], default=None), min(limits["mkt:volumeBytes"], default=None))


def _as_set(value: str | list[str]) -> frozenset[str]:
    return frozenset([value] if isinstance(value, str) else value)


def _term(pointer: str, table: str, name: str) -> Term:
    return Term(pointer, name, Enforcement(PROFILE[table][name]["enforcement"]))


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
        yield from _constraints(rule, at, PROFILE["left_operands"])
        yield from _rules(rule, "duty", at, "duties")
    elif table == "duties":
        operands = {name: PROFILE["duty_operands"][name] for name in PROFILE["duties"][action]["operands"]}
        yield from _members(rule, at, {"action", "constraint"} if operands else {"action"}, set())
        yield from _constraints(rule, at, operands)
    else:
        yield from _members(rule, at, {"action"}, set())
    if "target" in rule:
        yield from _value("participant", rule["target"], f"{at}/target")


def _constraints(rule: Json, at: str, operands: Json) -> Iterator[Finding]:
    if "constraint" not in rule:
        return
    constraints = rule["constraint"]
    if not isinstance(constraints, list) or not constraints:
        yield _not(constraints, f"{at}/constraint", "a list with at least one constraint")
        return
    for place, constraint in enumerate(constraints):
        yield from _constraint(constraint, f"{at}/constraint/{place}", operands)


def _constraint(constraint: Any, at: str, operands: Json) -> Iterator[Finding]:
    if not isinstance(constraint, dict):
        yield _not(constraint, at, "a constraint object")
        return
    names = {"leftOperand", "operator", "rightOperand"}
    yield from _members(constraint, at, names, set())
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
    if kind == "purpose":
        if not isinstance(value, str) or value not in PURPOSES["known"]:
            yield _not(value, at, "one of " + ", ".join(PURPOSES["known"]))
    elif kind == "integer":
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_INTEGER:
            yield _not(value, at, "a whole number from 1")
    elif not isinstance(value, str) or not _FORMS[kind].fullmatch(value):
        yield _not(value, at, f"a {kind}: {_FORMS[kind].pattern}")


def _members(holder: Json, at: str, required: set[str], optional: set[str]) -> Iterator[Finding]:
    for name in sorted(required - set(holder)):
        yield Finding(f"{at}/{name}", "is missing", "present", "nothing")
    for name in holder:
        if name not in required | optional:
            escaped = str(name).replace("~", "~0").replace("/", "~1")
            yield Finding(f"{at}/{escaped}", "unknown member", " or ".join(sorted(required | optional)), str(name))


def _not(value: Any, at: str, expected: str) -> Finding:
    return Finding(at, "is not a term of the profile", expected, json.dumps(value, ensure_ascii=False, default=str))
