"""What a delivery can carry, so that nothing is offered which every delivery would have to refuse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from marketplace.exchange.terms.findings import Finding, check_terms
from marketplace.exchange.terms.profile import PROFILE, Enforcement, group_operator
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Invalid

RECORDS: Final = "records"
AGGREGATE: Final = "aggregate"
SMALL_GROUPS: Final = "mkt:withholdSmallGroups"
ATTRIBUTES: Final = "mkt:onlyAttributes"


class NotDeliverable(Invalid):
    """No delivery of this kind could ever meet a term of the policy."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(
            f"{finding.pointer}: {finding.detail}",
            expected=finding.expected,
            got=finding.got,
            action="offer what this way of delivery can carry, or wait for another way",
        )
        self.pointer = finding.pointer


@dataclass(frozen=True)
class Carried:
    """What leaves by one way of delivery.  smallest_group: persons in its smallest group; duties: carried out on it."""

    output: str
    smallest_group: int
    environment: str
    duties: frozenset[str]


# Duties that are carried out, by way of delivery and by what leaves.  A secure environment has no row: there is no
# compute room yet, so nothing is delivered that way.  A table of counts has no attributes to be left out.
_ON_A_TABLE = frozenset(
    {"mkt:pseudonymisePerAgreement", "attribute", "mkt:onlyRecords", SMALL_GROUPS, "mkt:watermark"},
)
CARRIED: Final = {"download": {RECORDS: _ON_A_TABLE | {ATTRIBUTES}, AGGREGATE: _ON_A_TABLE}}


def check_offer(uses: Json, delivery_mode: str) -> None:
    """Refuse a policy that leaves the profile, grants without a purpose, or that no delivery of this kind could meet.

    Raises UnknownTerm, NoEnforcementPoint, NotDeliverable, with the RFC 6901 pointer of the first term in the way.
    """
    check_terms(uses)
    for finding in undeliverable(uses, delivery_mode):
        raise NotDeliverable(finding)


def undeliverable(uses: Json, delivery_mode: str) -> Iterator[Finding]:
    """The terms of a checked policy that stand in the way of every delivery of this kind, in reading order."""
    if delivery_mode not in CARRIED:
        yield Finding("", "nothing is delivered this way yet", " or ".join(CARRIED), delivery_mode)
        return
    carried = carried_under(uses, delivery_mode)
    here = {name for name, one in PROFILE["duties"].items() if one["enforcement"] == Enforcement.ENFORCED_HERE}
    for place, permission in enumerate(uses["permission"]):
        for number, constraint in enumerate(permission["constraint"]):
            if not _can_hold(constraint, carried):
                at = f"/permission/{place}/constraint/{number}"
                yield Finding(at, "no delivery can meet this", _brief(carried), _name(constraint))
        for number, duty in enumerate(permission.get("duty", [])):
            if duty["action"] in here - carried.duties:
                at, expected = f"/permission/{place}/duty/{number}", ", ".join(sorted(carried.duties))
                yield Finding(at, f"not carried out on {carried.output}", expected, duty["action"])


def carried_under(uses: Json, delivery_mode: str) -> Carried:
    """What the one delivery of an agreement under this checked policy would be.

    Records where any permission lets records leave, since one delivery serves all uses; else a table of counts, where a
    duty says by which facts to count and how many persons a count must hold.
    """
    duties = [duty for permission in uses["permission"] for duty in permission.get("duty", [])]
    sizes = [int(duty["constraint"][1]["rightOperand"]) for duty in duties if duty["action"] == SMALL_GROUPS]
    limits = [{"and": permission["constraint"]} for permission in uses["permission"]]
    output = AGGREGATE if sizes and not any(lets_leave(one, RECORDS) for one in limits) else RECORDS
    return Carried(output, max(sizes, default=1), delivery_mode, CARRIED[delivery_mode][output])


def lets_leave(constraint: Json, output: str) -> bool:
    """Whether a constraint of a checked policy could hold for an output, everything else being as it should."""
    if group := group_operator(constraint):
        return (all if group == "and" else any)(lets_leave(part, output) for part in constraint[group])
    return constraint["leftOperand"] != "output" or output in _values(constraint)


def _can_hold(constraint: Json, carried: Carried) -> bool:
    """Whether a constraint could hold for what leaves, everything else being as it should."""
    if group := group_operator(constraint):
        return (all if group == "and" else any)(_can_hold(part, carried) for part in constraint[group])
    match constraint["leftOperand"]:
        case "output":
            return carried.output in _values(constraint)
        case "mkt:environment":
            return carried.environment in _values(constraint)
        case "mkt:minimumGroupSize":
            return carried.smallest_group >= int(constraint["rightOperand"])
        case _:
            return True


def _values(constraint: Json) -> list[str]:
    value = constraint["rightOperand"]
    return value if isinstance(value, list) else [value]


def _brief(carried: Carried) -> str:
    return f"{carried.output} by {carried.environment}, smallest group {carried.smallest_group}"


def _name(constraint: Json) -> str:
    return group_operator(constraint) or str(constraint["leftOperand"])


def duty_actions(uses: Json) -> frozenset[str]:
    """ODRL actions of the duties of all permissions."""
    return frozenset(duty["action"] for permission in uses["permission"] for duty in permission.get("duty", []))
