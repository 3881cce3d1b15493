"""Offers and agreements as the Dataspace Protocol carries them: their shape, and their rules in one spelling."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from marketplace.kernel.canonical import Json, read_strictly
from marketplace.kernel.errors import Invalid

ODRL: Final = "http://www.w3.org/ns/odrl/2/"
ODRL_PREFIX: Final = "odrl:"
_TERMS = frozenset({"action", "leftOperand", "operator"})
_SETS = frozenset({"permission", "prohibition", "obligation", "duty", "constraint", "and", "or", "xone", "andSequence"})
_NOT_A_RULES = frozenset({"@type", "assignee", "target"})
_BOUNDS = frozenset({"recipient", "dateTime"})


def listed(value: Any) -> Any:
    """Sets of JSON-LD come as an array, from lenient senders also as the one thing in it."""
    return [value] if isinstance(value, dict | str) else value


Text: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class Part(BaseModel):
    """A node of a message; members that nobody knows are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)


class Constraint(Part):
    """Atomic, or a group of others."""

    leftOperand: Text | None = None  # noqa: N815 - the protocol's own names
    operator: (
        Literal["eq", "gt", "gteq", "lt", "lteq", "neq", "hasPart", "isA", "isAllOf", "isAnyOf", "isNoneOf", "isPartOf"]
        | None
    ) = None
    rightOperand: Text | Json | list[Any] | None = None  # noqa: N815
    and_: list[Constraint] | None = Field(None, alias="and")
    or_: list[Constraint] | None = Field(None, alias="or")
    xone: list[Constraint] | None = None
    andSequence: list[Constraint] | None = None  # noqa: N815

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Self:
        atomic = [self.leftOperand, self.operator, self.rightOperand]
        groups = [one for one in (self.and_, self.or_, self.xone, self.andSequence) if one is not None]
        if not (all(one is not None for one in atomic) and not groups) and not (
            len(groups) == 1 and all(one is None for one in atomic)
        ):
            raise ValueError("a constraint has leftOperand, operator and rightOperand, or one group of constraints")
        return self


Constraints: TypeAlias = Annotated[list[Constraint], BeforeValidator(listed), Field(max_length=100)]


class Rule(Part):
    """A permission, prohibition or duty; its target is the data set's, so it has none of its own."""

    action: Text
    constraint: Constraints = Field(default_factory=list)
    duty: Annotated[list[Rule], BeforeValidator(listed), Field(max_length=50)] = Field(default_factory=list)
    target: None = None


Rules: TypeAlias = Annotated[list[Rule], BeforeValidator(listed), Field(min_length=1, max_length=100)]


class Policy(Part):
    """What offers and agreements have in common."""

    id: Text = Field(alias="@id")
    target: Text
    permission: Rules | None = None
    prohibition: Rules | None = None
    obligation: Rules | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.permission is None and self.prohibition is None:
            raise ValueError("a policy has a permission or a prohibition")
        return self


class Offer(Policy):
    """An offer inside a message: with the data set as its target."""

    type: Literal["Offer"] = Field(alias="@type")
    assigner: Text | None = None
    assignee: Text | None = None


class Agreement(Policy):
    """An agreement inside a message: with both parties and its moment."""

    type: Literal["Agreement"] = Field(alias="@type")
    assigner: Text
    assignee: Text
    timestamp: Annotated[
        str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})?$")
    ]


def rules_of(policy: Json) -> Json:
    """The rules of an offer or agreement as its sender meant them: without types, parties and target.

    A list of values that Eclipse EDC sends as a text of JSON is a list again; terms keep the sender's spelling, since
    EDC compares an agreement with its request to the letter.
    """
    return {name: _plain(policy[name]) for name in ("permission", "prohibition", "obligation") if policy.get(name)}


def same_rules(one: Json, other: Json) -> bool:
    """Whether two policies have the same rules, however their senders spell terms and values.

    Connectors that read messages as JSON-LD write a term with its prefix or whole, and a value as a value object.
    """
    return meaning_of(one) == meaning_of(other)


def binds(contract: Json, agreed: Json) -> bool:
    """Whether a contract has the rules of an agreement: its permissions bound to a recipient and a term, none wider."""
    bound, free = meaning_of(contract), meaning_of(agreed)
    permissions = bound.pop("permission", []), free.pop("permission", [])
    return bound == free and len(permissions[0]) == len(permissions[1]) and all(map(_is_bound, *permissions))


def _is_bound(bound: Json, free: Json) -> bool:
    both, whole = bound.get("constraint", []), free.get("constraint", [])
    added = [one for one in both if one not in whole]
    others = all(bound.get(name) == free.get(name) for name in (bound.keys() | free.keys()) - {"constraint"})
    return others and all(one in both for one in whole) and {one.get("leftOperand") for one in added} <= _BOUNDS


def meaning_of(policy: Json) -> Json:
    """The rules of a policy with every term and value in the one spelling of ours, and every set as an array."""
    return {name: _spelled(rules, name) for name, rules in rules_of(policy).items()}


def _plain(value: Any, member: str = "") -> Any:
    match value:
        case dict():
            kept = {name: _plain(one, name) for name, one in value.items() if name not in _NOT_A_RULES}
            return {name: one for name, one in kept.items() if one not in (None, [])}
        case list():
            return [_plain(one) for one in value]
        case str() if member == "rightOperand" and value.startswith("["):
            return _listed_in(value)
        case _:
            return value


def _listed_in(text: str) -> Any:
    try:
        found = read_strictly(text.encode())
    except Invalid:
        return text
    return found if isinstance(found, list) else text


def _spelled(value: Any, member: str = "") -> Any:
    match value:
        case dict() if member in _SETS:
            return [_spelled(value)]
        case {"@value": inner}:
            return inner
        case dict():
            return {name: _spelled(one, name) for name, one in value.items()}
        case list():
            return [_spelled(one) for one in value]
        case str() if member in _TERMS:
            return value.removeprefix(ODRL).removeprefix(ODRL_PREFIX)
        case _:
            return value
