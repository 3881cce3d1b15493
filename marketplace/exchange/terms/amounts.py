"""What a checked policy grants at most: purposes and amounts."""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.exchange.terms.profile import PURPOSES, group_operator
from marketplace.kernel.canonical import Json


@dataclass(frozen=True)
class Quota:
    """The amounts a policy grants; None means without limit."""

    max_uses: int | None
    max_bytes: int | None


def permitted_purposes(uses: Json) -> frozenset[str]:
    """Purposes that at least one permission of a checked policy allows; several constraints all bind."""
    return frozenset(
        purpose
        for purpose in PURPOSES["known"]
        if any(all(_tolerates(one, purpose) for one in permission["constraint"]) for permission in uses["permission"])
    )


def quota(uses: Json) -> Quota:
    """The use count and volume of the widest permission of a checked policy."""
    return Quota(_widest(uses, "count"), _widest(uses, "mkt:volumeBytes"))


def _tolerates(constraint: Json, purpose: str) -> bool:
    """Whether a constraint could hold for a purpose, everything else being as it should."""
    if group := group_operator(constraint):
        return (all if group == "and" else any)(_tolerates(part, purpose) for part in constraint[group])
    value = constraint["rightOperand"]
    return constraint["leftOperand"] != "purpose" or purpose in ([value] if isinstance(value, str) else value)


def _widest(uses: Json, operand: str) -> int | None:
    limits = [_limit({"and": permission["constraint"]}, operand) for permission in uses["permission"]]
    return _most(limits)


def _limit(constraint: Json, operand: str) -> int | None:
    if group := group_operator(constraint):
        limits = [_limit(part, operand) for part in constraint[group]]
        return min((one for one in limits if one is not None), default=None) if group == "and" else _most(limits)
    return int(constraint["rightOperand"]) if constraint["leftOperand"] == operand else None


def _most(limits: list[int | None]) -> int | None:
    known = [one for one in limits if one is not None]
    return max(known) if known and len(known) == len(limits) else None
