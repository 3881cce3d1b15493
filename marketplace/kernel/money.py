"""Money is an integer of minor units (fen for CNY) with its currency; no float ever touches it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction


@dataclass(frozen=True, order=True)
class Money:
    """An amount.  minor: whole minor units, may be negative; currency: ISO 4217 code."""

    minor: int
    currency: str = "CNY"

    def __post_init__(self) -> None:
        if not isinstance(self.minor, int) or isinstance(self.minor, bool):
            raise TypeError(f"money is whole minor units, got {self.minor!r}")

    def __add__(self, other: Money) -> Money:
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.minor - self._same(other), self.currency)

    def __neg__(self) -> Money:
        return Money(-self.minor, self.currency)

    def times(self, ratio: Fraction | int) -> Money:
        """The product, rounded half up to the minor unit."""
        return Money(round_half_up(Fraction(self.minor) * ratio), self.currency)

    def split(self, weights: Sequence[int]) -> list[Money]:
        """Split by weights with the largest remainder; the parts always sum to the whole.

        weights: non-negative, at least one positive; the order of equal remainders is the order given.
        """
        total = sum(weights)
        if total <= 0 or min(weights) < 0:
            raise ValueError(f"weights must be non-negative with a positive sum, got {list(weights)}")
        floors = [self.minor * weight // total for weight in weights]
        remainders = [self.minor * weight % total for weight in weights]
        by_remainder = sorted(range(len(weights)), key=lambda i: (-remainders[i], i))
        for i in by_remainder[: self.minor - sum(floors)]:
            floors[i] += 1
        return [Money(part, self.currency) for part in floors]

    @property
    def decimal(self) -> Decimal:
        """The amount in major units, exact to two places."""
        return Decimal(self.minor).scaleb(-2)

    def __str__(self) -> str:
        return f"{self.currency} {self.decimal:,.2f}"

    def _same(self, other: Money) -> int:
        if other.currency != self.currency:
            raise ValueError(f"cannot mix {self.currency} and {other.currency}")
        return other.minor


def yuan(amount: int | str) -> Money:
    """RMB from major units: `yuan(55)`, `yuan("9980.50")`."""
    minor = Decimal(amount) * 100
    if minor != minor.to_integral_value():
        raise ValueError(f"{amount} is finer than one fen")
    return Money(int(minor))


def round_half_up(value: Fraction) -> int:
    """The nearest integer; halves go up."""
    return (value + Fraction(1, 2)).__floor__()
