"""Duties of a contract that are carried out here, on whatever leaves.

One delivery serves all uses of an agreement, so it meets the duties of all permissions at once: of each the strictest.
Duties come in two shapes: compiled, as in the facts of a decision, and as a delivery keeps them, which is that of the
signed uses: `{"action", "constraint": [{"leftOperand", "operator", "rightOperand"}]}`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from marketplace.exchange.terms import PROFILE, Enforcement
from marketplace.exchange.terms.delivery import AGGREGATE, RECORDS, SMALL_GROUPS
from marketplace.kernel.canonical import Json


class Transformation(StrEnum):
    """What was done to the files of a delivery; named as the ODRL duty that asks for it."""

    PSEUDONYMISE = "mkt:pseudonymisePerAgreement"
    ATTRIBUTE = "attribute"
    ONLY_ATTRIBUTES = "mkt:onlyAttributes"
    ONLY_RECORDS = "mkt:onlyRecords"
    WITHHOLD_SMALL_GROUPS = "mkt:withholdSmallGroups"
    WATERMARK = "mkt:watermark"


FACTS: Final = "mkt:quasiIdentifier"
SIZE: Final = "mkt:minimumGroupSize"
# A duty that is enforced here but that no delivery carries out yet is one that no delivery meets.
_HERE: Final = [name for name, one in PROFILE["duties"].items() if one["enforcement"] == Enforcement.ENFORCED_HERE]
_DEMANDED: Final = list(dict.fromkeys([*map(str, Transformation), *_HERE]))


@dataclass(frozen=True)
class Leaving:
    """What the duties of all permissions come to together.

    attributes: DICOM keywords that may leave, None = all; limits: compiled comparisons that every record must hold;
    facts, smallest: by which facts persons are grouped, and how many a group holds at least, 0 = not asked.
    """

    transformations: tuple[Transformation, ...]
    attributes: frozenset[str] | None
    limits: tuple[Json, ...]
    facts: tuple[str, ...]
    smallest: int

    def applied(self) -> list[Json]:
        """The transformations with their parameters, as a delivery keeps them."""
        return [self._applied(one) for one in self.transformations]

    def without_groups(self) -> Leaving:
        """The same without groups, for a table that withholds small ones by itself."""
        return replace(self, facts=(), smallest=0)

    def _applied(self, one: Transformation) -> Json:
        match one:
            case Transformation.ONLY_ATTRIBUTES:
                limits = [_written("mkt:attribute", "isAnyOf", sorted(self.attributes or ()))]
            case Transformation.ONLY_RECORDS:
                limits = [_written(limit["left"], limit["operator"], right_of(limit)) for limit in self.limits]
            case Transformation.WITHHOLD_SMALL_GROUPS:
                limits = [_written(FACTS, "isAnyOf", list(self.facts)), _written(SIZE, "gteq", self.smallest)]
            case _:
                return {"action": str(one)}
        return {"action": str(one), "constraint": limits}


def together(duties: Iterable[Json]) -> Leaving:
    """The strictest of each compiled duty that this service carries out, transformations in a fixed order.

    The other duties are attested by the buyer or legal only.
    """
    limits: dict[str, list[Json]] = {}
    for duty in duties:
        limits.setdefault(str(duty.get("action")), []).extend(duty.get("constraints", []))
    named = [frozenset(one["values"]) for one in limits.get(Transformation.ONLY_ATTRIBUTES, [])]
    groups = limits.get(Transformation.WITHHOLD_SMALL_GROUPS, [])
    return Leaving(
        tuple(one for one in Transformation if one in limits),
        frozenset.intersection(*named) if named else None,
        tuple(_once(limits.get(Transformation.ONLY_RECORDS, []))),
        tuple(sorted({fact for one in groups if one["left"] == FACTS for fact in one["values"]})),
        max((one["number"] for one in groups if one["left"] == SIZE), default=0),
    )


def output_of(uses: Json) -> str:
    """What the one delivery under compiled uses is, as `exchange.terms.delivery.carried_under` says it of an offer."""
    permissions = uses["permissions"]
    grouped = any(duty["action"] == SMALL_GROUPS for one in permissions for duty in one["duties"])
    limits = [{"logic": "and", "parts": [*one["constraints"], *one["groups"]]} for one in permissions]
    return AGGREGATE if grouped and not any(_lets_leave(one, RECORDS) for one in limits) else RECORDS


def asked_to_leave(uses: Json) -> tuple[str, int]:
    """What is to leave under compiled uses, and how many persons its smallest group holds at least, 1 or more."""
    duties = [duty for permission in uses["permissions"] for duty in permission["duties"]]
    return output_of(uses), max(together(duties).smallest, 1)


def unmet(duties: Iterable[Json], applied: Iterable[Json | str]) -> list[str]:
    """Duties that must be carried out on what leaves and that a delivery does not carry out, or not as strictly.

    duties: compiled; applied: as a delivery keeps them, by name alone where it was made before they had parameters.
    """
    done = [{"action": one} if isinstance(one, str) else one for one in applied]
    asked = [duty for duty in duties if str(duty.get("action")) in _DEMANDED]
    missed = {str(duty["action"]) for duty in asked if not any(_meets(one, duty) for one in done)}
    return [one for one in _DEMANDED if one in missed]


def right_of(limit: Json) -> Any:
    """The right operand of a compiled comparison, as it was signed."""
    if not limit["values"]:
        return limit["number"]
    return limit["values"] if limit["operator"] == "isAnyOf" else limit["values"][0]


def _meets(applied: Json, duty: Json) -> bool:
    if applied["action"] != duty["action"]:
        return False
    done = applied.get("constraint", [])
    return all(any(_as_strict(one, limit) for one in done) for limit in duty.get("constraints", []))


def _as_strict(done: Json, asked: Json) -> bool:
    """Whether a comparison that was applied lets nothing leave that the asked one would withhold."""
    if done["leftOperand"] != asked["left"]:
        return False
    right = done["rightOperand"]
    if asked["values"]:
        wanted, got = set(asked["values"]), set(right if isinstance(right, list) else [right])
        return wanted <= got if asked["left"] == FACTS else got <= wanted
    if done["operator"] != asked["operator"]:
        return False
    return bool(right >= asked["number"] if asked["operator"] == "gteq" else right <= asked["number"])


def _lets_leave(constraint: Json, output: str) -> bool:
    if "parts" in constraint:
        return (all if constraint["logic"] == "and" else any)(_lets_leave(part, output) for part in constraint["parts"])
    return constraint["left"] != "output" or output in constraint["values"]


def _written(left: str, operator: str, right: Any) -> Json:
    return {"leftOperand": left, "operator": operator, "rightOperand": right}


def _once(items: Iterable[Json]) -> Sequence[Json]:
    found: list[Json] = []
    for one in items:
        if one not in found:
            found.append(one)
    return found
