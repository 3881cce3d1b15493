"""Offers and agreements as the Dataspace Protocol carries them: their shape, and their rules in one spelling."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from marketplace.kernel.canonical import Json


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
    """The rules of an offer or agreement in one spelling, to compare them: without types, parties and target."""
    return {name: _plain(policy[name]) for name in ("permission", "prohibition", "obligation") if policy.get(name)}


def _plain(value: Any) -> Any:
    match value:
        case dict():
            kept = {name: _plain(one) for name, one in value.items() if name not in {"@type", "assignee", "target"}}
            return {name: one for name, one in kept.items() if one not in (None, [])}
        case list():
            return [_plain(one) for one in value]
        case _:
            return value
