"""Whether a delivery carried out what its signed terms demand of whatever leaves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from marketplace.audit.verifier.bundle import Document
from marketplace.audit.verifier.text import string

_AGGREGATE = "aggregate"
_FACTS = "mkt:quasiIdentifier"
_SIZE = "mkt:minimumGroupSize"
# Duties that only the delivery itself can meet; any other is of the buyer.
_ON_WHAT_LEAVES = frozenset(
    {
        "mkt:pseudonymisePerAgreement",
        "attribute",
        "mkt:onlyAttributes",
        "mkt:onlyRecords",
        "mkt:withholdSmallGroups",
        "mkt:watermark",
    }
)


def shortfalls(manifest: dict[str, Any], contract: Document) -> Iterator[str]:
    """In words, each demand of a signed agreement that a delivery manifest does not say was met."""
    done = [_transformation(one) for one in _objects_or_names(manifest.get("transformations"))]
    permissions = _objects(contract.content.get("uses"), "permission")
    for duty in (one for permission in permissions for one in _objects(permission, "duty")):
        if string(duty, "action") in _ON_WHAT_LEAVES and not any(_meets(one, duty) for one in done):
            yield f"the agreement demands {_said(duty)}, and the delivery does not say that it was done"
    yield from _groups(manifest, permissions)
    yield from _output(manifest, permissions)


def _groups(manifest: dict[str, Any], permissions: list[dict[str, Any]]) -> Iterator[str]:
    """A delivery of which something is left has groups as large as every duty asks."""
    sizes = [
        limit.get("rightOperand")
        for permission in permissions
        for duty in _objects(permission, "duty")
        for limit in _objects(duty, "constraint")
        if limit.get("leftOperand") == _SIZE
    ]
    smallest = manifest.get("smallest_group")
    for size in sizes:
        if type(size) is int and smallest != 0 and not (type(smallest) is int and smallest >= size):
            yield f"its smallest group holds {smallest}, the agreement demands {size}"


def _output(manifest: dict[str, Any], permissions: list[dict[str, Any]]) -> Iterator[str]:
    """Records leave only where some permission lets records leave, and a table holds none."""
    made_of = [one for one in _objects(manifest, "files") if one.get("source_path") is not None]
    limits = [
        [one for one in _objects(permission, "constraint") if one.get("leftOperand") == "output"]
        for permission in permissions
    ]
    refused = bool(limits) and all(any("records" not in _values(one) for one in some) for some in limits)
    if made_of and (refused or manifest.get("output") == _AGGREGATE):
        yield f"it serves {len(made_of)} files of records, where only a table may leave"


def _meets(done: dict[str, Any], duty: dict[str, Any]) -> bool:
    if done.get("action") != duty.get("action"):
        return False
    applied = _objects(done, "constraint")
    return all(any(_as_strict(one, limit) for one in applied) for limit in _objects(duty, "constraint"))


def _as_strict(done: dict[str, Any], asked: dict[str, Any]) -> bool:
    """Whether a comparison that was applied lets nothing leave that the asked one would withhold."""
    if done.get("leftOperand") != asked.get("leftOperand"):
        return False
    got, wanted = done.get("rightOperand"), asked.get("rightOperand")
    if type(wanted) is int:
        if type(got) is not int or done.get("operator") != asked.get("operator"):
            return False
        return got >= wanted if asked.get("operator") == "gteq" else got <= wanted
    if not isinstance(got, str | list):
        return False
    left, right = set(_values(done)), set(_values(asked))
    return right <= left if asked.get("leftOperand") == _FACTS else left <= right


def _values(constraint: dict[str, Any]) -> list[str]:
    right = constraint.get("rightOperand")
    return [one for one in (right if isinstance(right, list) else [right]) if isinstance(one, str)]


def _transformation(one: Any) -> dict[str, Any]:
    """Manifests of before named what was done and no parameters."""
    return one if isinstance(one, dict) else {"action": one}


def _objects_or_names(value: Any) -> list[Any]:
    return [one for one in value if isinstance(one, dict | str)] if isinstance(value, list) else []


def _objects(holder: Any, name: str) -> list[dict[str, Any]]:
    found = holder.get(name) if isinstance(holder, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _said(duty: dict[str, Any]) -> str:
    limits = [
        f"{one.get('leftOperand')} {one.get('operator')} {one.get('rightOperand')}"
        for one in _objects(duty, "constraint")
    ]
    return f"{string(duty, 'action')} ({'; '.join(limits)})" if limits else str(string(duty, "action"))
