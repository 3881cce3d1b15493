"""Forecasts in integers: when an asset pays back, what scenarios bring, how sure that is.

Amounts are fen.  Draws come from SHA-256 of the seed, so the same seed gives the same answer on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from hashlib import sha256
from typing import Literal

from marketplace.costing.formulas import Terms, net_of_sale
from marketplace.kernel.errors import Invalid
from marketplace.kernel.money import round_half_up

FACTORS = ("price", "sales", "operator", "cost")
Factor = Literal["price", "sales", "operator", "cost"]
FALLING: frozenset[Factor] = frozenset({"operator", "cost"})
"""Factors of which more brings less."""
PERCENTILES = (5, 25, 50, 75, 95)
LARGEST_WAIT = timedelta(days=36_500)


class EmptyRange(Invalid):
    """The lowest figure of a range is above its highest."""


@dataclass(frozen=True)
class Range:
    """Whole numbers from low to high, both included.  Raises EmptyRange."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high:
            raise EmptyRange("a range ends before it begins", expected="0 ≤ low ≤ high", got=f"{self.low}…{self.high}")

    @property
    def middle(self) -> int:
        return (self.low + self.high) // 2

    def drawn(self, draw: int) -> int:
        """The number of this range that a draw of 64 bits picks."""
        return self.low + draw % (self.high - self.low + 1)


@dataclass(frozen=True)
class Case:
    """One future: sales at a price (fen, VAT included), the operator's share in thousandths, the sunk cost."""

    price: int
    sales: int
    operator: int
    cost: int


@dataclass(frozen=True)
class Ranges:
    """What is assumed of the four factors of a case.  operator: thousandths of the price without VAT."""

    price: Range
    sales: Range
    operator: Range
    cost: Range

    @property
    def middle(self) -> Case:
        return Case(**{factor: self.of(factor).middle for factor in FACTORS})

    def of(self, factor: str) -> Range:
        """The range of a factor."""
        found: Range = getattr(self, factor)
        return found

    def end(self, *, good: bool) -> Case:
        """The best or the worst of all cases in these ranges."""
        return Case(**{one: self._side(one, high=good is (one not in FALLING)) for one in FACTORS})

    def _side(self, factor: str, *, high: bool) -> int:
        return self.of(factor).high if high else self.of(factor).low


@dataclass(frozen=True)
class Sensitivity:
    """The result at both ends of one factor while the others stay in the middle."""

    factor: str
    at_low: int
    at_high: int

    @property
    def swing(self) -> int:
        return abs(self.at_high - self.at_low)


@dataclass(frozen=True)
class Simulation:
    """Results of a number of drawn cases.

    percentiles: percent -> the result that so many percent of the runs do not exceed; loss_per_mille: runs below 0.
    """

    seed: int
    runs: int
    percentiles: dict[int, int]
    mean: int
    loss_per_mille: int


def payback_date(unrecovered: int, kept: int, since: datetime | None, now: datetime) -> datetime | None:
    """When the rest of the cost is earned back if income goes on as it did since a moment; now when nothing is left.

    kept: what was left to the provider since then.  None without income, or when it takes more than a hundred years.
    """
    if unrecovered <= 0:
        return now
    if since is None or kept <= 0:
        return None
    seconds = max(int((now - since).total_seconds()), 1)
    wait = -(-unrecovered * seconds // kept)
    return now + timedelta(seconds=wait) if wait <= LARGEST_WAIT.total_seconds() else None


def result(case: Case, marginal: int, terms: Terms) -> int:
    """What a case brings in the end, N·(P·k − m) − F, rounded half up to the fen; negative = a loss."""
    return round_half_up(case.sales * net_of_sale(case.price, marginal, _with(terms, case.operator)) - case.cost)


def sensitivities(ranges: Ranges, marginal: int, terms: Terms) -> list[Sensitivity]:
    """What each factor alone decides, the largest swing first."""
    found = []
    for factor in FACTORS:
        held = ranges.of(factor)
        ends = [replace(ranges.middle, **{factor: value}) for value in (held.low, held.high)]
        found.append(Sensitivity(factor, *(result(one, marginal, terms) for one in ends)))
    return sorted(found, key=lambda one: -one.swing)


def simulate(ranges: Ranges, marginal: int, terms: Terms, *, seed: int, runs: int) -> Simulation:
    """Draw cases, every number of a range equally likely and the factors independent.  runs: at least 1."""
    results = sorted(result(_drawn(ranges, seed, run), marginal, terms) for run in range(runs))
    return Simulation(
        seed=seed,
        runs=runs,
        percentiles={percent: _percentile(results, percent) for percent in PERCENTILES},
        mean=sum(results) // runs,
        loss_per_mille=sum(one < 0 for one in results) * 1000 // runs,
    )


def _drawn(ranges: Ranges, seed: int, run: int) -> Case:
    digest = sha256(f"{seed}:{run}".encode()).digest()
    draws = (int.from_bytes(digest[start : start + 8]) for start in range(0, 32, 8))
    return Case(**{factor: ranges.of(factor).drawn(draw) for factor, draw in zip(FACTORS, draws, strict=True)})


def _percentile(ordered: Sequence[int], percent: int) -> int:
    return ordered[max(-(-len(ordered) * percent // 100), 1) - 1]


def _with(terms: Terms, per_mille: int) -> Terms:
    return replace(terms, operator=Fraction(per_mille, 1000))
