"""Who makes sure of each term of a policy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from marketplace.exchange.terms.profile import PROFILE, Enforcement, group_operator
from marketplace.kernel.canonical import Json

_STRENGTH = list(Enforcement)


@dataclass(frozen=True)
class Term:
    """One term of a policy: where it stands, what it is, who makes sure of it."""

    pointer: str
    term: str
    kind: Enforcement


def enforcement(uses: Json) -> list[Term]:
    """Every term of a checked policy with who makes sure of it, in reading order.

    An alternative is worth no more than its weakest branch: whoever keeps to that one escapes the others.
    """
    terms: list[Term] = []
    for place, permission in enumerate(uses["permission"]):
        at = f"/permission/{place}"
        terms.append(_term(f"{at}/action", "actions", permission["action"]))
        for number, constraint in enumerate(permission["constraint"]):
            terms += _constraint(f"{at}/constraint/{number}", constraint)
        for number, duty in enumerate(permission.get("duty", [])):
            terms.append(_term(f"{at}/duty/{number}", "duties", duty["action"]))
    for place, prohibition in enumerate(uses.get("prohibition", [])):
        terms.append(_term(f"/prohibition/{place}", "prohibitions", prohibition["action"]))
    return terms


def enforced_permille(terms: list[Term]) -> int:
    """The share of terms that this service enforces by itself, in thousandths, rounded down."""
    here = sum(1 for term in terms if term.kind is Enforcement.ENFORCED_HERE)
    return here * 1000 // len(terms) if terms else 0


def enforcement_table(uses: Json) -> list[Json]:
    """The terms with their enforcement as plain data, for documents and answers."""
    return [{"pointer": one.pointer, "term": one.term, "enforcement": one.kind.value} for one in enforcement(uses)]


def _constraint(at: str, constraint: Json) -> Iterator[Term]:
    group = group_operator(constraint)
    if group is None:
        yield _term(at, "left_operands", constraint["leftOperand"])
        return
    parts = [
        term for number, part in enumerate(constraint[group]) for term in _constraint(f"{at}/{group}/{number}", part)
    ]
    weakest = max((term.kind for term in parts), key=_STRENGTH.index)
    yield from (replace(term, kind=weakest) for term in parts) if group == "or" else parts


def _term(pointer: str, table: str, name: str) -> Term:
    return Term(pointer, name, Enforcement(PROFILE[table][name]["enforcement"]))
