"""The planning formulas of asset production and the exact split of a price: integers and fractions, nothing else.

Amounts are fen.  The formulas are those of docs/explanation/the-books.md, "Break-even"; the costs that the worked
tables in the tests begin from are those of contracts/tariffs/cn-2025-report.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from marketplace.kernel.errors import Invalid
from marketplace.kernel.money import Money, round_half_up


class NothingIsKept(Invalid):
    """Taxes, fees and shares leave nothing of a price."""


@dataclass(frozen=True)
class Terms:
    """What is taken from a price.

    vat: rate on the price without VAT; surcharge: rate on the VAT; exchange_fee: rate on the price the buyer pays;
    operator: an operator's share of the price without VAT.
    """

    vat: Fraction
    surcharge: Fraction
    exchange_fee: Fraction
    operator: Fraction = Fraction(0)


@dataclass(frozen=True)
class PriceSplit:
    """A price in its parts, fen: price = vat + surcharge + exchange_fee + distributable, always exactly."""

    price: int
    vat: int
    surcharge: int
    exchange_fee: int

    @property
    def net(self) -> int:
        """The price without VAT: what is revenue."""
        return self.price - self.vat

    @property
    def distributable(self) -> int:
        """What is left to the provider and those it shares with."""
        return self.price - self.vat - self.surcharge - self.exchange_fee

    def amounts(self) -> dict[str, int]:
        """The parts by the names that posting rules use."""
        return {
            "price": self.price,
            "net": self.net,
            "vat": self.vat,
            "surcharge": self.surcharge,
            "exchange_fee": self.exchange_fee,
        }


def split_price(price: int, terms: Terms) -> PriceSplit:
    """Split a price, VAT included, into its levies, each rounded half up to the fen, and the rest.

    The surcharge is taken on the VAT as rounded, because that is the tax due.
    Raises NothingIsKept for a negative price, or for terms that take more than the price.
    """
    vat = round_half_up(price * terms.vat / (1 + terms.vat))
    split = PriceSplit(
        price=price,
        vat=vat,
        surcharge=round_half_up(vat * terms.surcharge),
        exchange_fee=round_half_up(price * terms.exchange_fee),
    )
    if price < 0 or split.distributable < 0:
        raise NothingIsKept("the levies exceed the price", expected="0 fen or more to distribute", got=f"{split}")
    return split


def split_shares(distributable: int, weights: Sequence[int]) -> list[int]:
    """Divide an amount by weights with the largest remainder; the parts always sum to the amount."""
    return [part.minor for part in Money(distributable).split(weights)]


def sunk_cost(scans: int, per_scan: int, legal: int, certificate: int) -> int:
    """F = q·g + L + C, fen."""
    return scans * per_scan + legal + certificate


def kept_share(terms: Terms) -> Fraction:
    """k: the share of a price that stays after VAT, surcharge, exchange fee and the operator's share, not rounded."""
    net = 1 / (1 + terms.vat)
    return net - terms.surcharge * (1 - net) - terms.exchange_fee - terms.operator * net


def net_of_sale(price: int, marginal: int, terms: Terms) -> Fraction:
    """P·k − m: what one sale brings, fen, not rounded; may be negative."""
    return price * kept_share(terms) - marginal


def break_even_sales(sunk: int, price: int, marginal: int, terms: Terms) -> int | None:
    """N*: the fewest sales at a price that earn the sunk cost back; None when a sale brings nothing (P·k ≤ m)."""
    net = net_of_sale(price, marginal, terms)
    if net <= 0:
        return None
    return _ceiling(sunk / net)


def price_for_sales(sunk: int, sales: int, marginal: int, terms: Terms) -> int:
    """P*: the price, rounded up to the fen, at which a number of sales earns the sunk cost back.

    Raises NothingIsKept for terms that take the whole price.
    """
    share = kept_share(terms)
    if share <= 0 or sales < 1:
        raise NothingIsKept("no price earns the cost back", expected="at least one sale and a kept share above 0")
    return _ceiling((Fraction(sunk, sales) + marginal) / share)


def unit_cost(sunk: int, records: int) -> int | None:
    """Cost of one record, rounded half up to the fen; None without records."""
    return round_half_up(Fraction(sunk, records)) if records > 0 else None


def per_mille(part: int, whole: int) -> int | None:
    """How much of a whole a part is, in thousandths rounded down; None of nothing."""
    return part * 1000 // whole if whole > 0 else None


def _ceiling(value: Fraction) -> int:
    return -((-value).__floor__())
