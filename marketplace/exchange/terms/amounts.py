"""What a checked policy grants at most: purposes, recipients and amounts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from marketplace.exchange.terms.profile import PROFILE, PURPOSES, group_operator
from marketplace.kernel.canonical import Json

# A participant of a kind that the profile does not name, e.g. a law firm.
OTHER_KIND: Final = "other"
RECIPIENT_KINDS: Final = frozenset({*PROFILE["values"]["recipient_kind"], OTHER_KIND})


@dataclass(frozen=True)
class Quota:
    """The amounts a policy grants; None means without limit."""

    max_uses: int | None
    max_bytes: int | None


def permitted_purposes(uses: Json) -> frozenset[str]:
    """Purposes that at least one permission of a checked policy allows; several constraints all bind."""
    return frozenset(purpose for purpose in PURPOSES["known"] if _permits(uses, {"purpose": purpose}))


def permitted_kinds(uses: Json) -> frozenset[str]:
    """Kinds of participants that at least one permission of a checked policy is for, whoever they are."""
    unnamed = {"recipient": ""}
    return frozenset(one for one in RECIPIENT_KINDS if _permits(uses, unnamed | {"mkt:recipientKind": one}))


def named_recipients(uses: Json) -> frozenset[str]:
    """Participants that a permission of a checked policy names."""
    named = {one for permission in uses["permission"] for part in permission["constraint"] for one in _named(part)}
    return frozenset(one for one in named if _permits(uses, {"recipient": one}))


def quota(uses: Json) -> Quota:
    """The use count and volume of the widest permission of a checked policy."""
    return Quota(_widest(uses, "count"), _widest(uses, "mkt:volumeBytes"))


def _permits(uses: Json, facts: Mapping[str, str]) -> bool:
    return any(all(_tolerates(one, facts) for one in permission["constraint"]) for permission in uses["permission"])


def _tolerates(constraint: Json, facts: Mapping[str, str]) -> bool:
    """Whether a constraint could hold for these operands, everything else being as it should."""
    if group := group_operator(constraint):
        return (all if group == "and" else any)(_tolerates(part, facts) for part in constraint[group])
    operand = constraint["leftOperand"]
    return operand not in facts or facts[operand] in _values(constraint)


def _named(constraint: Json) -> Iterator[str]:
    if group := group_operator(constraint):
        for part in constraint[group]:
            yield from _named(part)
    elif constraint["leftOperand"] == "recipient":
        yield from _values(constraint)


def _values(constraint: Json) -> list[str]:
    value = constraint["rightOperand"]
    return [value] if isinstance(value, str) else value


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
