"""A second judge of a use, written from the text of ODRL 2.2 and from the profile's own tables, not from the Rego.

What it takes from the ODRL Information Model: a permission is exercised when all its constraints are satisfied
(2.5.2, 2.6.4); `and` is satisfied when all operands are, `or` when at least one is (2.5.3); a prohibition of an action
forbids every action included in it (2.4), and prohibitions win over permissions (conflict strategy `prohibit`, 2.10);
whoever does not understand a term of the profile must not act on the policy (2.1 and the profile's own rule).
It walks groups by recursion and folds a permission into one truth value, where the Rego spells levels out and collects
sets; both are told the same normalised policy and the same facts.
"""

from __future__ import annotations

import json
import operator
import re
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_ODRL = Path(__file__).resolve().parents[2] / "contracts" / "odrl"
_PROFILE: Json = json.loads((_ODRL / "profile.json").read_text("utf-8"))
_PURPOSES: Json = json.loads((_ODRL / "purposes.json").read_text("utf-8"))
_LISTS = {"purpose": _PURPOSES["known"], **_PROFILE["values"]}
_COMPARED = {"lteq": operator.le, "gteq": operator.ge}
_NUMERIC = {"integer", "decimal", "moment", "days"}


def judge(facts: Json) -> tuple[bool, list[Json]]:
    """Whether a use may happen, and the duties that go with it, each once and in no order."""
    granting = [one for one in facts["uses"]["permissions"] if _permits(one, facts)]
    if not (granting and _contract_stands(facts) and _understood(facts["uses"]) and not _forbidden(facts)):
        return False, []
    duties: list[Json] = []
    for permission in granting:
        duties += [duty for duty in permission["duties"] if duty not in duties]
    return True, duties


def _permits(permission: Json, facts: Json) -> bool:
    named = any(one.get("left") == "purpose" for one in permission["constraints"])
    satisfied = all(_satisfied(one, facts) for one in _limits(permission))
    return named and satisfied and facts["asked"]["action"] in _included(permission["action"])


def _limits(permission: Json) -> list[Json]:
    return [*permission["constraints"], *permission["groups"]]


def _satisfied(constraint: Json, facts: Json) -> bool:
    if "logic" in constraint:
        each = [_satisfied(part, facts) for part in constraint["parts"]]
        return bool(each) and (all(each) if constraint["logic"] == "and" else any(each))
    left, name = constraint["left"], constraint["operator"]
    if left not in _PROFILE["left_operands"] or name not in _PROFILE["left_operands"][left]["operators"]:
        return False
    actual = _actual(left, facts)
    if name in _COMPARED:
        return bool(_COMPARED[name](actual, constraint["number"]))
    return actual in constraint["values"]


def _actual(left: str, facts: Json) -> Any:
    """What the use is, seen through an operand."""
    asked, quota, agreement = facts["asked"], facts["quota"], facts["agreement"]
    seconds = facts["now"] - agreement["final_at"] if agreement["final_at"] else float("inf")
    values = {
        "purpose": asked["purpose"],
        "recipient": asked["party"],
        "mkt:recipientKind": agreement["buyer_kind"],
        "dateTime": facts["now"],
        "elapsedTime": seconds,
        "count": quota["uses_taken"] + quota["uses_asked"],
        "mkt:volumeBytes": quota["bytes_taken"] + quota["bytes_asked"],
        "spatial": asked["place"],
        "output": asked["output"],
        "mkt:minimumGroupSize": asked["smallest_group"],
        "mkt:environment": asked["delivery_mode"],
        "mkt:ethicsApproval": "valid" if asked["ethics_approval"] else "",
    }
    return values[left]


def _forbidden(facts: Json) -> bool:
    asked, agreement = facts["asked"], facts["agreement"]
    actions = {one["action"] for one in facts["uses"]["prohibitions"]}
    abroad = {asked["place"], agreement["buyer_place"]} != {agreement["provider_place"]}
    return (
        any(asked["action"] in _included(action) for action in actions)
        or asked["purpose"] in _PURPOSES["denied_always"]
        or ("mkt:transferAbroad" in actions and abroad)
    )


def _included(action: str) -> set[str]:
    """An action with those included in it: `use` is the widest."""
    return set(_PROFILE["actions"]) if action == "use" else {action}


def _contract_stands(facts: Json) -> bool:
    agreement, version, asked, uses = facts["agreement"], facts["version"], facts["asked"], facts["uses"]
    both = {agreement["provider"], agreement["buyer"]}
    about = {agreement["asset"], agreement["version"]}
    return all(
        (
            agreement["state"] == "finalized" and both <= set(agreement["signers"]),
            agreement["terms_signed"] and agreement["parties_active"] and agreement["listing_stands"],
            agreement["starts_at"] <= facts["now"] < agreement["ends_at"],
            asked["party"] == agreement["buyer"] == uses["assignee"],
            uses["assigner"] == agreement["provider"],
            asked["asset"] == agreement["asset"] == version["asset"] and version["id"] == agreement["version"],
            {uses["target"], *(one["target"] for one in uses["permissions"])} <= about,
            asked["delivery_mode"] == agreement["delivery_mode"],
            version["stage"] == "listed" and version["sealed"] and version["kind"] == "governed",
            version["consent_stands"] and facts["certificate"]["valid"] and facts["opinion"]["valid"],
        )
    )


def _understood(uses: Json) -> bool:
    permissions, deepest = uses["permissions"], _PROFILE["logic"]["deepest"]
    return (
        uses["unknown"] == []
        and (uses["profile"], uses["type"]) == (_PROFILE["id"], "Agreement")
        and all(one["action"] in _PROFILE["prohibitions"] for one in uses["prohibitions"])
        and all(one["action"] in _PROFILE["actions"] for one in permissions)
        and all(_known(one, deepest) for rule in permissions for one in _limits(rule))
        and all(_known_duty(one) for rule in permissions for one in rule["duties"])
    )


def _known(constraint: Json, deeper: int) -> bool:
    if "logic" in constraint:
        fits = constraint["logic"] in _PROFILE["logic"]["operators"] and deeper > 0 and constraint["parts"]
        return bool(fits) and all(_known(part, deeper - 1) for part in constraint["parts"])
    operand = _PROFILE["left_operands"].get(constraint["left"])
    if operand is None or constraint["operator"] not in operand["operators"]:
        return False
    if operand["value"] in _NUMERIC:
        return constraint["values"] == [] and constraint["number"] >= 0
    several = constraint["operator"] == "isAnyOf"
    known = _LISTS.get(operand["value"])
    filled = len(constraint["values"]) >= 1 if several else len(constraint["values"]) == 1
    return filled and (known is None or set(constraint["values"]) <= set(known))


def _known_duty(duty: Json) -> bool:
    asked = _PROFILE["duties"].get(duty["action"])
    if asked is None:
        return False
    named = [one["left"] for one in duty["constraints"]]
    chosen = set(asked.get("any_of", []))
    complete = bool(named) and set(named) <= chosen if chosen else named == asked["operands"]
    return complete and all(_known_limit(one) for one in duty["constraints"])


def _known_limit(limit: Json) -> bool:
    operand = _PROFILE["duty_operands"].get(limit["left"], {"operators": []})
    if limit["operator"] not in operand["operators"]:
        return False
    if operand["value"] in {"integer", "year"}:
        return limit["values"] == [] and limit["number"] > 0
    filled = bool(limit["values"]) if limit["operator"] == "isAnyOf" else len(limit["values"]) == 1
    listed = _LISTS.get(operand["value"])
    if listed is not None:
        return filled and set(limit["values"]) <= set(listed)
    return filled and all(re.fullmatch(r"\w+( \w+)*", one, re.ASCII) for one in limit["values"])
