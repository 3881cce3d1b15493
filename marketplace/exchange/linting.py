"""What a contract template asks of an offer beyond its parameters: a price plan its clauses speak of, a delivery."""

from __future__ import annotations

import json
from typing import Any

from marketplace.exchange.pricing import PlanDoesNotFit, PricePlan
from marketplace.exchange.templates import Template, render_uses
from marketplace.exchange.terms import CONTRACTS
from marketplace.exchange.terms.delivery import CARRIED, undeliverable
from marketplace.kernel.canonical import Json

PLANS: Json = json.loads((CONTRACTS / "terms" / "plans.json").read_text("utf-8"))


def plans_of(chosen: Template) -> dict[str, list[str]]:
    """The members of a price plan that a template restricts, each with what it may be; empty = any plan."""
    fitting: dict[str, list[str]] = PLANS.get(chosen.name.partition("/")[0], {})
    return fitting


def check_plan(chosen: Template, plan: PricePlan) -> None:
    """Refuse a price plan that the template's clauses do not speak of.  Raises PlanDoesNotFit."""
    for name, known in plans_of(chosen).items():
        if getattr(plan, name) not in known:
            raise PlanDoesNotFit(
                f"the clauses of {chosen.name} speak of another price plan",
                expected=f"{name} {' or '.join(known)}",
                got=str(getattr(plan, name)),
            )


def obstacles(chosen: Template) -> list[str]:
    """Why no offer can be made of a template for now, whatever its parameters: empty when some delivery can meet it."""
    least = {name: _least(chosen.schema["properties"][name]) for name in chosen.schema["required"]}
    uses = render_uses(chosen, least, "ast_any")
    ways = [[f"{one.pointer}: {one.detail} ({one.got})" for one in undeliverable(uses, mode)] for mode in CARRIED]
    return min(ways, key=len)


def _least(schema: Json) -> Any:
    """The least that fits the schema of a parameter."""
    match schema["type"]:
        case "array":
            return schema["items"]["enum"][:1]
        case "integer":
            return schema["minimum"]
        case _:
            return "1"
