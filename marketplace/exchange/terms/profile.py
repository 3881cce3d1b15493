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
_WORDS: Final = {"purpose": PURPOSES["known"], **PROFILE["values"]}


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

    kind: `participant`, `decimal`, `moment`, `days`, `place`, `integer`, `purpose`, or a list under `values` of the
    profile.
    """
    if kind in _WORDS:
        fits = isinstance(value, str) and value in _WORDS[kind]
        return None if fits else "one of " + ", ".join(_WORDS[kind])
    if kind == "integer":
        fits = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_INTEGER
        return None if fits else "a whole number from 1"
    fits = isinstance(value, str) and _FORMS[kind].fullmatch(value) is not None
    return None if fits else f"a {kind}: {_FORMS[kind].pattern}"
