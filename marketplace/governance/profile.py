"""The de-identification profile as data: PS3.15 Table E.1-1 plus an allow-list of technical elements.

Source: DICOM PS3.15 2026c Annex E (`contracts/governance/ps3-15-basic-profile.json`).  What neither the table nor the
allow-list names is dropped, private elements always.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "contracts" / "governance"

# CID 7050: basic profile, longitudinal dates modified, patient characteristics (age, sex, size, weight) retained.
METHOD_CODES = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    ("113108", "Retain Patient Characteristics Option"),
)


@dataclass(frozen=True)
class Allowed:
    """One element that may stay.  vr: the value representations the dictionary gives; check: what its value passes."""

    vrs: frozenset[str]
    vm: str
    check: str


@dataclass(frozen=True)
class Kind:
    """What happens to a SOP class.  reason: why it is held back, None when it is governed."""

    keyword: str
    reason: str | None


@dataclass(frozen=True)
class Profile:
    """All rules.  actions: tag -> action after the options in use; allowed: tag -> Allowed; sha256: of the files."""

    actions: dict[int, str]
    allowed: dict[int, Allowed]
    words: dict[str, frozenset[str]]
    kinds: dict[str, Kind]
    parts_without_face: frozenset[str]
    head_hints: re.Pattern[str]
    screen_words: frozenset[str]
    sha256: str

    def action(self, tag: int) -> str:
        """The action on an element: a code of the table, an option's, `K` by allow-list, or why it is dropped."""
        if tag >> 16 & 1:
            return "X:private"
        if (tag >> 24) in {0x50, 0x60}:
            return "X:repeating"
        if tag & 0xFFFF == 0:
            return "X:group_length"
        found = self.actions.get(tag)
        if found is not None:
            return found
        return "K" if tag in self.allowed else "X:unknown"


@cache
def load() -> Profile:
    """Read the profile once per process."""
    names = ("ps3-15-basic-profile.json", "allowed-elements.json", "kinds.json")
    bodies = [(FOLDER / name).read_bytes() for name in names]
    table, allowed, kinds = (json.loads(body) for body in bodies)
    return Profile(
        actions={tag_of(row["tag"]): _action(row) for row in table["rows"] if _TAG.fullmatch(row["tag"])},
        allowed={
            tag_of(row["tag"]): Allowed(frozenset(row["vr"].split(" or ")), row["vm"], row["check"])
            for row in allowed["elements"]
        },
        words={name: frozenset(words) for name, words in allowed["words"].items()},
        kinds={row["uid"]: Kind(row["keyword"], row.get("reason")) for row in kinds["kinds"]},
        parts_without_face=frozenset(kinds["body_parts_without_face"]),
        head_hints=re.compile("|".join(_hint(hint) for hint in kinds["head_hints"]), re.IGNORECASE),
        screen_words=frozenset(kinds["image_type_words_of_screens"]),
        sha256=hashlib.sha256(b"\0".join(bodies)).hexdigest(),
    )


def tag_of(text: str) -> int:
    """`0010,0020` as the integer 0x00100020."""
    return int(text.replace(",", ""), 16)


def name_of(tag: int) -> str:
    """The integer 0x00100020 as `0010,0020`."""
    return f"{tag >> 16:04X},{tag & 0xFFFF:04X}"


_TAG = re.compile(r"[0-9A-F]{4},[0-9A-F]{4}")


def _action(row: dict[str, Any]) -> str:
    # The options in use override the basic column: dates are shifted, four patient characteristics stay.
    if "113107" in row:
        return "C:date"
    if "113108" in row:
        return "C:characteristic"
    return str(row["action"])


def _hint(hint: str) -> str:
    # Latin hints stand at the start of a word, so that `ear` does not match `heart`; Chinese has no word breaks.
    return rf"(?<![a-z]){re.escape(hint)}" if hint.isascii() else re.escape(hint)
