"""How the cost of an asset is treated and spread, as pure functions.

Source: interim provisions on accounting for enterprise data resources, MoF 财会〔2023〕11号, in force from 2024-01-01:
data for own use or for services is an intangible asset, data held for sale is inventory, all else is expense.
They bind enterprises; a public hospital applies its own rules and may use these as a model.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from marketplace.kernel.errors import Conflict
from marketplace.ledger.periods import month_of, months_from


class AlreadyCapitalised(Conflict):
    """The asset is capitalised in another way."""


class NothingToCapitalise(Conflict):
    """The asset has no cost in the books."""


class NotCertified(Conflict):
    """Nobody's right to the asset is certified."""


class HeldFor(StrEnum):
    """What an asset is held for; it decides the treatment."""

    OWN_USE = "own_use"
    SERVICE = "service"
    SALE = "sale"


class Treatment(StrEnum):
    """The line of the balance sheet that the cost stands in."""

    INTANGIBLE = "intangible"
    INVENTORY = "inventory"


class Origin(StrEnum):
    """How the provider came by a data resource; the notes show each apart.

    What the house capitalises is the cost of the provider's own stages, so nothing in its books is purchased.
    """

    SELF_DEVELOPED = "self_developed"


TREATMENT = {
    HeldFor.OWN_USE: Treatment.INTANGIBLE,
    HeldFor.SERVICE: Treatment.INTANGIBLE,
    HeldFor.SALE: Treatment.INVENTORY,
}
ACCOUNT = {Treatment.INTANGIBLE: "asset:data-intangible", Treatment.INVENTORY: "asset:data-inventory"}
SPREAD = {Treatment.INTANGIBLE: "expense:amortisation", Treatment.INVENTORY: "expense:cost-of-sales"}
WRITTEN_DOWN, IMPAIRMENT = "asset:data-written-down", "expense:impairment"


def written_off(cost: int, parts: int, done: int) -> int:
    """What of a cost is written off after some of its equal parts; exact in the end, fen, rounded down before."""
    return cost * min(max(done, 0), parts) // parts


def months_done(began: datetime, now: datetime) -> int:
    """Months of use that are over: the first is the month in which the asset was capitalised."""
    return months_from(month_of(began), month_of(now))


def useful_months(asked: int, certified_until: datetime, now: datetime) -> int:
    """Straight line over the shorter of useful life and certificate, at least a month."""
    return max(1, min(asked, months_from(month_of(now), month_of(certified_until))))
