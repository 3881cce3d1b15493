"""What the standard requires of a file of each governed kind, so that leaving attributes out never breaks it.

Source: DICOM PS3.3, the mandatory modules of each kind, top level (`contracts/governance/required-attributes.json`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache

from marketplace.governance.profile import FOLDER


@dataclass(frozen=True)
class Required:
    """Keywords by what a kind asks of them (PS3.5 section 7.4).

    valued: Type 1; valued_if_there: Type 1C, whose condition we take to hold where the file has it; present: Type 2 and
    2C, which may be empty.
    """

    keyword: str
    valued: frozenset[str]
    valued_if_there: frozenset[str]
    present: frozenset[str]


@cache
def required() -> dict[str, Required]:
    """By SOP class UID, for each kind that is governed; read once per process."""
    rows = json.loads((FOLDER / "required-attributes.json").read_text("utf-8"))["kinds"]
    return {
        row["uid"]: Required(
            row["keyword"],
            frozenset(row["type_1"]),
            frozenset(row["type_1c"]),
            frozenset(row["type_2"]) | frozenset(row["type_2c"]),
        )
        for row in rows
    }


@cache
def stays() -> frozenset[str]:
    """What a file says of its own de-identification and compression, and its pixels: it leaves in every delivery."""
    return frozenset(json.loads((FOLDER / "required-attributes.json").read_text("utf-8"))["stays"])
