"""Duties on what leaves, as they are signed and as the facts hold them."""

from __future__ import annotations

import copy
from typing import Any

from marketplace.usage.facts import compile_uses

Json = dict[str, Any]


def written(left: str, operator: str, right: Any) -> Json:
    """One comparison."""
    return {"leftOperand": left, "operator": operator, "rightOperand": right}


def only_attributes(*names: str) -> Json:
    return {"action": "mkt:onlyAttributes", "constraint": [written("mkt:attribute", "isAnyOf", list(names))]}


def only_records(*limits: Json) -> Json:
    return {"action": "mkt:onlyRecords", "constraint": list(limits)}


def small_groups(smallest: int, *facts: str) -> Json:
    limits = [written("mkt:quasiIdentifier", "isAnyOf", list(facts)), written("mkt:minimumGroupSize", "gteq", smallest)]
    return {"action": "mkt:withholdSmallGroups", "constraint": limits}


def with_duties(policy: Json, *duties: Json, limits: tuple[Json, ...] = ()) -> Json:
    """A policy whose permissions have further duties and constraints."""
    made = copy.deepcopy(policy)
    for permission in made["permission"]:
        permission["duty"] = [*permission.get("duty", []), *duties]
        permission["constraint"] = [*permission["constraint"], *limits]
    return made


def compiled(*duties: Json) -> list[Json]:
    """Duties as the facts hold them."""
    made = compile_uses({"permission": [{"action": "use", "constraint": [], "duty": list(duties)}]})
    found: list[Json] = made.model_dump()["permissions"][0]["duties"]
    return found
