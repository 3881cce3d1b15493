"""A state machine is one table: from, to, who, audit tag.  This is its only checker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from marketplace.kernel.errors import Conflict, Forbidden


class WrongState(Conflict):
    """This step does not follow from the present state."""


class NotYourStep(Forbidden):
    """Another party takes this step."""


@dataclass(frozen=True)
class Step:
    """One allowed move.  who: the roles that may take it; tag: the audit tag it is recorded under."""

    source: StrEnum
    target: StrEnum
    who: frozenset[str]
    tag: str


@dataclass(frozen=True)
class Machine:
    """A named table of steps, beside what each state allows.

    allows: state -> capabilities, for questions like "may this be offered?".
    """

    name: str
    steps: tuple[Step, ...]
    allows: Mapping[StrEnum, frozenset[str]] = field(default_factory=dict)

    def step(self, source: StrEnum, target: StrEnum, roles: Iterable[str]) -> Step:
        """The row for a move by someone with these roles.  Raises WrongState or NotYourStep."""
        rows = [row for row in self.steps if row.source == source and row.target == target]
        if not rows:
            onward = sorted({str(row.target) for row in self.steps if row.source == source})
            raise WrongState(
                f"{self.name} cannot go from {source} to {target}",
                expected=" or ".join(onward) or f"nothing, {source} is final",
                got=str(target),
            )
        for row in rows:
            if row.who & set(roles):
                return row
        who = sorted(set[str]().union(*(row.who for row in rows)))
        raise NotYourStep(
            f"{self.name}: {source} to {target} is taken by {' or '.join(who)}",
            expected=" or ".join(who),
            got=", ".join(sorted(roles)) or "no role",
        )

    def permits(self, state: StrEnum, capability: str) -> bool:
        """Whether a state allows a capability."""
        return capability in self.allows.get(state, frozenset())

    def mermaid(self) -> str:
        """The machine as a Mermaid state diagram, rows in table order."""
        lines = ["stateDiagram-v2"]
        lines += [f"    {s.source} --> {s.target}: {', '.join(sorted(s.who))} ({s.tag})" for s in self.steps]
        return "\n".join(lines)


def step(source: StrEnum, target: StrEnum, who: str, tag: str) -> Step:
    """A row of a table; who: role names separated by spaces."""
    return Step(source, target, frozenset(who.split()), tag)
