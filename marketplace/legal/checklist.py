"""The checklist that an opinion answers, read once from `contracts/legal`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from marketplace.kernel.canonical import Json, read_strictly, sha256_hex

FILE = Path(__file__).resolve().parents[2] / "contracts" / "legal" / "checklist-v1.json"


@dataclass(frozen=True)
class Item:
    """One question.  severity: `B` blocking, `C` may be conditional, `I` information.

    evidence: kinds that usually answer it; reopened_by_delta: a new version asks it again;
    always_applies: `not_applicable` is no answer to it.
    """

    number: int
    severity: str
    evidence: tuple[str, ...]
    reopened_by_delta: bool
    always_applies: bool


@dataclass(frozen=True)
class Checklist:
    """A named list of items by number.  sha256: of the file's exact bytes; content: as published."""

    id: str
    sha256: str
    items: dict[int, Item]
    evidence_kinds: frozenset[str]
    content: Json


@cache
def current() -> Checklist:
    """The checklist in force."""
    data = FILE.read_bytes()
    content = read_strictly(data)
    items = {
        row["number"]: Item(
            row["number"], row["severity"], tuple(row["evidence"]), row["reopened_by_delta"], row["always_applies"]
        )
        for row in content["items"]
    }
    kinds = frozenset(kind for item in items.values() for kind in item.evidence) | frozenset(content["other_evidence"])
    return Checklist(content["id"], sha256_hex(data), items, kinds, content)
