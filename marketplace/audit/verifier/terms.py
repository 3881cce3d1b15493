"""Whether the signed agreement permits what a use was for: its purpose, its action, its recipient."""

from __future__ import annotations

from typing import Any

from marketplace.audit.verifier.bundle import Bundle, Document, Entry
from marketplace.audit.verifier.report import Report
from marketplace.audit.verifier.text import mapping, string

# action -> the wider action that includes it
_INCLUDED_IN = {"read": "use", "train": "use", "analyse": "use"}


def check(report: Report, bundle: Bundle, contract_of: dict[str, Document]) -> None:
    """Ask it of every use that was allowed.  contract_of: agreement id -> document."""
    asked = report.check("every use is for a purpose and an action that its signed agreement permits")
    for entry in bundle.entries:
        document = contract_of.get(entry.agreement or "")
        if entry.tag != "usage:allowed" or document is None:
            continue
        asked.counted += 1
        purpose, action = string(entry.facts, "purpose"), string(entry.facts, "action")
        if purpose is None or action is None:
            asked.fail(entry.name, "it does not say for which purpose and action it was")
        elif not _permitted(entry, document, purpose, action):
            asked.fail(entry.name, f"{document.name} does not permit {action} for {purpose}")


def _permitted(entry: Entry, document: Document, purpose: str, action: str) -> bool:
    uses = mapping(document.content, "uses")
    user = string(entry.content, "actor", "participant") or ""
    if any(_covers(string(one, "action"), action) for one in _rules(uses, "prohibition")):
        return False
    return any(_grants(one, purpose, action, user) for one in _rules(uses, "permission"))


def _grants(permission: dict[str, Any], purpose: str, action: str, user: str) -> bool:
    """Whether a permission covers the action, names purposes and all of them fit; one without a purpose grants none."""
    values: dict[str, list[list[Any]]] = {"purpose": [], "recipient": []}
    for one in _rules(permission, "constraint"):
        values.setdefault(string(one, "leftOperand") or "", []).append(_values(one))
    fits = all(purpose in one for one in values["purpose"]) and all(user in one for one in values["recipient"])
    return bool(values["purpose"]) and fits and _covers(string(permission, "action"), action)


def _covers(granted: str | None, asked: str) -> bool:
    return granted is not None and granted in (asked, _INCLUDED_IN.get(asked))


def _rules(value: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = value.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _values(constraint: dict[str, Any]) -> list[Any]:
    """The values that satisfy a constraint; none for an operator that is not known here."""
    right = constraint.get("rightOperand")
    match constraint.get("operator"):
        case "eq":
            return [right]
        case "isAnyOf" if isinstance(right, list):
            return right
        case _:
            return []
