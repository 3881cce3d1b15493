"""Changes to a policy: one term more that binds, or one that nobody knows."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

from marketplace.exchange.terms import PROFILE
from tests.policies.cases import Case, Json, Maker


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of every node, the root first."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield from places(child, (*path, key))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def strengthened(maker: Maker, case: Case) -> Json:
    """The policy with one constraint or prohibition more: in a permission, in an `and`, or beside all."""
    policy = copy.deepcopy(case.policy)
    if maker.dice.random() < 0.3:
        policy.setdefault("prohibition", []).append(maker.prohibition())
        return policy
    holders = [path for path in places(policy) if path and path[-1] in {"constraint", "and"} and "duty" not in path]
    path = maker.dice.choice(holders)
    at(policy, path).append(maker.constraint(case.facts, min(2, 4 - sum(step in {"and", "or"} for step in path))))
    return policy


def mutated(maker: Maker, policy: Json) -> tuple[Json, tuple[Any, ...]]:
    """The policy with one unknown term, and where it stands."""
    dice, changed = maker.dice, copy.deepcopy(policy)
    path = dice.choice([one for one in places(changed) if not {"@id", "timestamp"} & set(one)])
    node = at(changed, path)
    if not path:
        return _more(dice, node), path
    if isinstance(node, dict):
        new = dice.choice([_more(dice, node), "x", 7, None, [], [node]])
    elif isinstance(node, list):
        new = dice.choice([_odd_member(dice, node), {}, None, "x", True])
    elif isinstance(node, str):
        new = dice.choice([node + "?", "mkt:" + node + "?", "", {}, [node, "?"], None, False, -1])
    else:
        new = dice.choice([-1, True, 1.5, {}, None, "many"])
    at(changed, path[:-1])[path[-1]] = new
    return changed, path


def _more(dice: random.Random, node: Json) -> Json:
    """An object with a member too many, or with an operator, operand or nesting that the profile does not have."""
    choices: list[Json] = [node | {dice.choice(["unit", "refinement", "odrl:uid", "status", "~/x"]): "x"}]
    if "leftOperand" in node:
        known = PROFILE["left_operands"].get(node["leftOperand"], {"operators": ["lteq"]})["operators"]
        odd = [one for one in ("gt", "lt", "neq", "eq", "lteq", "gteq", "isNoneOf", "hasPart") if one not in known]
        choices.append(node | {"operator": dice.choice(odd)})
        choices.append(node | {"leftOperand": dice.choice(["weather", "industry", "mkt:Purpose", "odrl:purpose"])})
        choices += [{name: [node]} for name in ("xone", "andSequence", "not")]
        choices.append({"and": [{"or": [{"and": [{"or": [{"and": [node]}]}]}]}]})
    if "action" in node:
        choices.append(node | {"action": dice.choice(["sell", "odrl:use", "inform", "transfer", "USE"])})
    return dice.choice(choices)


def _odd_member(dice: random.Random, node: list[Any]) -> list[Any]:
    return [*node, dice.choice([None, 3, {}, [], "?", {"xone": []}, {"and": []}, {"action": "sell"}])]
