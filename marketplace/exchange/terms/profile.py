"""The words of the closed ODRL profile, as `contracts/odrl/` holds them."""

from __future__ import annotations

import json
import re
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from marketplace.kernel.canonical import MAX_INTEGER, Json

CONTRACTS: Final = Path(__file__).resolve().parents[3] / "contracts"
PROFILE: Final[Json] = json.loads((CONTRACTS / "odrl" / "profile.json").read_text("utf-8"))
PURPOSES: Final[Json] = json.loads((CONTRACTS / "odrl" / "purposes.json").read_text("utf-8"))

_GOVERNANCE: Final = CONTRACTS / "governance"
_ELEMENTS: Final[Json] = json.loads((_GOVERNANCE / "allowed-elements.json").read_text("utf-8"))
_TABLE: Final[Json] = json.loads((_GOVERNANCE / "ps3-15-basic-profile.json").read_text("utf-8"))

LOGIC: Final = tuple(PROFILE["logic"]["operators"])
LOGIC_REFUSED: Final[dict[str, str]] = PROFILE["logic"]["refused"]
DEEPEST: Final[int] = PROFILE["logic"]["deepest"]

_FORMS: Final = {
    "participant": re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{2,127}"),
    "decimal": re.compile(r"[1-9][0-9]{0,15}"),
    "moment": re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{6})?Z"),
    "days": re.compile(r"P[1-9][0-9]{0,3}D"),
    "place": re.compile(r"[A-Z]{2}"),
}
_WORDS: Final = {
    "purpose": PURPOSES["known"],
    **PROFILE["values"],
    "modality": frozenset(_ELEMENTS["words"]["modality"]),
    "body_part": frozenset(_ELEMENTS["words"]["body_part"]),
    "attribute": frozenset(row["keyword"] for row in (*_ELEMENTS["elements"], *_TABLE["rows"]) if row["keyword"]),
}
_MOST_SHOWN: Final = 20
_YEARS: Final = range(1900, 2200)


class Enforcement(StrEnum):
    """Who makes sure that a term is kept; the strongest first."""

    ENFORCED_HERE = "enforced_here"
    ATTESTED_BY_BUYER = "attested_by_buyer"
    LEGAL_ONLY = "legal_only"


def group_operator(constraint: Any) -> str | None:
    """`and` or `or` when a constraint is a group of others, None when it stands alone."""
    return next((name for name in LOGIC if name in constraint), None) if isinstance(constraint, dict) else None


def misfit(kind: str, value: Any) -> str | None:
    """What a value of a kind must be, when this one is not; None when it fits.

    kind: `participant`, `decimal`, `moment`, `days`, `place`, `integer`, `year`, `purpose`, a list under `values` of
    the profile, or `modality`, `body_part`, `attribute` (a DICOM keyword) as contracts/governance knows them.
    """
    if kind in _WORDS:
        known = _WORDS[kind]
        listed = ", ".join(known) if len(known) <= _MOST_SHOWN else f"the {len(known)} of contracts/governance"
        return None if isinstance(value, str) and value in known else f"one of {listed}"
    if kind == "year":
        return None if type(value) is int and value in _YEARS else f"a year from {_YEARS[0]} to {_YEARS[-1]}"
    if kind == "integer":
        fits = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_INTEGER
        return None if fits else "a whole number from 1"
    fits = isinstance(value, str) and _FORMS[kind].fullmatch(value) is not None
    return None if fits else f"a {kind}: {_FORMS[kind].pattern}"
