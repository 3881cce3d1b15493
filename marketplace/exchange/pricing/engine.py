"""The engine: what metered units cost, in whole fen; pure, the same for a preview as for a bill.

A month's units have one price together, `gross`, that never falls as units are added.  What a further unit costs is the
difference between two such prices, so any way of cutting a month into uses costs the same, to the fen.
"""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.exchange.pricing.plans import (
    AnyPlan,
    ComputeHour,
    Hybrid,
    Measure,
    Metered,
    PerCase,
    PerGigabyte,
    PerScan,
    Tier,
)
from marketplace.kernel.errors import Invalid

QUANTA: dict[Measure, int] = {"use": 1, "case": 1, "scan": 1, "gigabyte": 10**9, "compute_hour": 3600}
"""How many of what is counted make up one priced unit: uses, studies, bytes, seconds."""


class BadQuantity(Invalid):
    """A metered quantity is below zero."""


@dataclass(frozen=True)
class Rate:
    """How a metered plan prices.  quantum: what is counted per priced unit; trial: counted quanta that are free."""

    measure: Measure
    quantum: int
    price_fen: int
    tiers: tuple[Tier, ...]
    volume: bool
    minimum_fen: int
    cap_fen: int | None
    trial: int

    @property
    def linear(self) -> bool:
        """Whether a unit costs the same whatever came before it, and nothing is due beside."""
        bounded = self.cap_fen is not None or self.minimum_fen
        return self.quantum == 1 and not (self.tiers or self.trial or bounded)


@dataclass(frozen=True)
class Month:
    """What an agreement has been charged for in a month, before a further charge.

    counted: quanta that were not free; charged_fen: what they cost; trial_used: free quanta of the agreement so far.
    """

    counted: int = 0
    charged_fen: int = 0
    trial_used: int = 0


@dataclass(frozen=True)
class Charge:
    """What further quanta cost.  free: of them under the trial; after: the month with them; capped: the cap was met."""

    quanta: int
    free: int
    amount_fen: int
    capped: bool
    after: Month


def rate_of(plan: AnyPlan) -> Rate | None:
    """The rate of a metered plan, None where uses cost nothing."""
    if not isinstance(plan, Metered):
        return None
    measure = _measure(plan)
    return Rate(
        measure=measure,
        quantum=QUANTA[measure],
        price_fen=plan.price_fen,
        tiers=plan.tiers or (),
        volume=plan.tier_mode == "volume",
        minimum_fen=plan.monthly_minimum_fen or 0,
        cap_fen=plan.monthly_cap_fen,
        trial=(plan.trial_units or 0) * QUANTA[measure],
    )


def gross(rate: Rate, counted: int) -> int:
    """What so many quanta of one month cost together, before the cap, rounded down to the fen; never falls.

    By volume a buyer never pays more than it would for more: just before a cheaper tier the price of its first unit
    holds.
    """
    if counted < 0:
        raise BadQuantity("a metered quantity is at least 0", got=str(counted))
    return (_volume if rate.volume else _graduated)(rate, counted) // rate.quantum


def charge_of(rate: Rate, before: Month, quanta: int) -> Charge:
    """What further quanta cost after what a month has had; never brings the month above its cap.

    What the month had under another plan, before an amendment, is not priced again.  Raises BadQuantity.
    """
    if quanta < 0:
        raise BadQuantity("a metered quantity is at least 0", got=str(quanta))
    free = min(quanta, max(rate.trial - before.trial_used, 0))
    counted = before.counted + quanta - free
    due = gross(rate, counted)
    further = due - gross(rate, before.counted)
    left = further if rate.cap_fen is None else rate.cap_fen - before.charged_fen
    amount = max(min(further, left), 0)
    after = Month(counted, before.charged_fen + amount, before.trial_used + free)
    capped = rate.cap_fen is not None and max(due, before.charged_fen + further) > rate.cap_fen
    return Charge(quanta, free, amount, capped, after)


def minimum_of(rate: Rate, charged_fen: int, days: int, days_of_month: int) -> int:
    """What is still due at the end of a month in which the agreement was in force on so many of its days.

    The minimum is taken by the day, rounded down.
    """
    if not 0 <= days <= days_of_month:
        raise BadQuantity("days lie within the month", expected=f"0 to {days_of_month}", got=str(days))
    return max(rate.minimum_fen * days // days_of_month - charged_fen, 0)


def _graduated(rate: Rate, counted: int) -> int:
    """Fen × quanta: every unit at the price of its own tier."""
    total, price, begun = 0, rate.price_fen, 0
    for tier in rate.tiers:
        edge = tier.above * rate.quantum
        if counted <= edge:
            break
        total += (edge - begun) * price
        price, begun = tier.price_fen, edge
    return total + (counted - begun) * price


def _volume(rate: Rate, counted: int) -> int:
    """Fen × quanta: all at the price of the tier they reach, or the first of a later tier where that costs less."""
    edges = [(0, rate.price_fen), *((tier.above * rate.quantum, tier.price_fen) for tier in rate.tiers)]
    reached = max(at for at, (edge, _) in enumerate(edges) if at == 0 or counted > edge)
    later = [(edge + 1) * price for edge, price in edges[reached + 1 :]]
    return min([counted * edges[reached][1], *later]) if counted else 0


def _measure(plan: Metered) -> Measure:
    match plan:
        case Hybrid(measure=measure):
            return measure
        case PerCase():
            return "case"
        case PerScan():
            return "scan"
        case PerGigabyte():
            return "gigabyte"
        case ComputeHour():
            return "compute_hour"
        case _:
            return "use"
