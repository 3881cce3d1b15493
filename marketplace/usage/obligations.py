"""Duties of a contract that are carried out here, on whatever leaves."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from marketplace.exchange.terms import PROFILE, Enforcement
from marketplace.kernel.canonical import Json


class Transformation(StrEnum):
    """What was done to the files of a delivery; named as the ODRL duty that asks for it."""

    PSEUDONYMISE = "mkt:pseudonymisePerAgreement"
    ATTRIBUTE = "attribute"


# A duty that is enforced here but that no delivery carries out yet is one that no delivery meets.
_HERE: Final = [name for name, one in PROFILE["duties"].items() if one["enforcement"] == Enforcement.ENFORCED_HERE]
_DEMANDED: Final = list(dict.fromkeys([*map(str, Transformation), *_HERE]))


def enforced(duties: Iterable[Json]) -> list[Transformation]:
    """The duties this service carries out, in a fixed order; the others are attested by the buyer or legal only."""
    asked = {str(duty.get("action")) for duty in duties}
    return [one for one in Transformation if one in asked]


def unmet(duties: Iterable[Json], applied: Iterable[str]) -> list[str]:
    """Duties that must be carried out on what leaves and that a delivery does not carry out."""
    asked, done = {str(duty.get("action")) for duty in duties}, set(applied)
    return [one for one in _DEMANDED if one in asked and one not in done]
