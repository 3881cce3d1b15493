"""Duties of a contract that are carried out here, on whatever leaves."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from marketplace.kernel.canonical import Json


class Transformation(StrEnum):
    """What was done to the files of a delivery; named as the ODRL duty that asks for it."""

    PSEUDONYMISE = "mkt:pseudonymisePerAgreement"
    ATTRIBUTE = "attribute"


def enforced(duties: Iterable[Json]) -> list[Transformation]:
    """The duties this service carries out, in a fixed order; the others are attested by the buyer or legal only."""
    asked = {str(duty.get("action")) for duty in duties}
    return [one for one in Transformation if one in asked]


def unmet(duties: Iterable[Json], applied: Iterable[str]) -> list[Transformation]:
    """Enforced duties that a delivery does not carry out."""
    done = set(applied)
    return [one for one in enforced(duties) if one not in done]
