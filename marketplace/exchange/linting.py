"""What an offer must fit: the profile, a delivery that exists, the price plan that its clauses speak of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from marketplace.exchange.pricing import PlanDoesNotFit, PricePlan
from marketplace.exchange.templates import Template
from marketplace.exchange.terms import CONTRACTS, PROFILE, check_terms
from marketplace.exchange.terms.profile import group_operator
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Invalid

# The only delivery there is: single records, by download.  A compute room would add its own line.
DELIVERY: Json = {"mkt:environment": "download", "output": "records", "mkt:minimumGroupSize": 1}
PLANS: Json = json.loads((CONTRACTS / "terms" / "plans.json").read_text("utf-8"))


class NothingDeliverable(Invalid):
    """A permission could never be granted, because nothing here delivers as it demands."""


def check_offer(chosen: Template, uses: Json, plan: PricePlan) -> None:
    """Refuse an offer that leaves the profile, that nothing here could deliver, or whose price its clauses do not know.

    Raises UnknownTerm, NoEnforcementPoint, NothingDeliverable, PlanDoesNotFit.
    """
    check_terms(uses)
    if obstacle := next(obstacles(uses), None):
        raise NothingDeliverable(
            obstacle,
            expected="a permission that a download of records can meet",
            action="choose another template: this market has no secure environment yet",
        )
    fitting = PLANS.get(chosen.name.partition("/")[0], {})
    for name, known in fitting.items():
        if getattr(plan, name) not in known:
            raise PlanDoesNotFit(
                f"the clauses of {chosen.name} speak of another price plan",
                expected=f"{name} {' or '.join(known)}",
                got=str(getattr(plan, name)),
            )


def obstacles(uses: Json) -> Iterator[str]:
    """Every constraint, in words with its pointer, that no delivery here can meet; a template's places count as met."""
    for place, permission in enumerate(uses["permission"]):
        for number, constraint in enumerate(permission["constraint"]):
            if not _can_be_met(constraint):
                demanded = ", ".join(sorted({PROFILE["left_operands"][one]["en"] for one in _unmet(constraint)}))
                yield f"/permission/{place}/constraint/{number} can never hold: {demanded}"


def _can_be_met(constraint: Json) -> bool:
    if group := group_operator(constraint):
        return (all if group == "and" else any)(map(_can_be_met, constraint[group]))
    operand, value = constraint["leftOperand"], constraint["rightOperand"]
    if operand not in DELIVERY or isinstance(value, dict):
        return True
    if constraint["operator"] == "gteq":
        return bool(value <= DELIVERY[operand])
    return DELIVERY[operand] in ([value] if isinstance(value, str) else value)


def _unmet(constraint: Any) -> Iterator[str]:
    if group := group_operator(constraint):
        for part in constraint[group]:
            yield from _unmet(part)
    elif not _can_be_met(constraint):
        yield constraint["leftOperand"]
