"""What happens in the told year, as data: products, sales and dated acts.  Every name and figure is invented."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from marketplace.kernel.actor import Role
from seeds.cast import CAST, Part

BEGAN = datetime(2025, 1, 2, 1, 0, tzinfo=UTC)

MORE_BUYERS: tuple[Part, ...] = (
    Part("second_pharma", "示例瑞和生物医药有限公司", "Example Ruihe Biopharma Ltd", "pharma",
         (Role.BUYER,), number=11),
    Part("second_ai", "示例清影算法有限公司", "Example Qingying Algorithms Ltd", "ai_company",
         (Role.BUYER,), number=12),
    Part("second_insurer", "示例长宁人寿保险公司", "Example Changning Life Insurance Co", "insurer", (Role.BUYER,),
         algorithm="ES256", number=13),
    Part("second_institute", "示例公共卫生研究所", "Example Institute of Public Health", "research_institute",
         (Role.BUYER,), number=14),
)  # fmt: skip
BUYERS = tuple(part.name for part in (*CAST, *MORE_BUYERS) if Role.BUYER in part.roles)

How = Literal["asked", "countered", "offered", "ruled"]
"""How a contract comes about: the listed terms are asked for and approved; both sides propose other terms before; the
hospital offers unasked; the hospital's rule answers."""


@dataclass(frozen=True)
class Product:
    """An asset and the offer it is listed with.  patients: in its archive; private_to: buyers of a private offer.

    held_for: how the hospital carries its cost in the balance sheet, None = all expense.
    """

    name: str
    modality: str
    body_part: str
    department: str
    patients: int
    template: str
    plan: dict[str, Any]
    more: dict[str, Any] = field(default_factory=dict)
    term_days: int = 365
    genomic: bool = False
    private_to: tuple[str, ...] = ()
    held_for: str | None = None
    cohort: int = 0


@dataclass(frozen=True)
class Sale:
    """A contract.  on: day of the year, `04-10`; uses: least and most in a month."""

    product: str
    buyer: str
    on: str
    uses: tuple[int, int] = (0, 0)
    how: How = "asked"


@dataclass(frozen=True)
class Act:
    """Something that happens once.  on: `06-15`, or `01-05+1` in the year after; what: a deed of `telling.DEEDS`."""

    on: str
    what: str
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plot:
    """A whole telling.  months: calendar months that are billed and closed; seed: of the dice for uses.

    late, pays_from: a buyer that pays nothing before that day.
    """

    months: int
    products: tuple[Product, ...]
    sales: tuple[Sale, ...]
    acts: tuple[Act, ...]
    late: str
    pays_from: str
    seed: int = 2025

    @property
    def buyers(self) -> tuple[str, ...]:
        """The buyers of the sales, in the order of the cast."""
        return tuple(one for one in BUYERS if one in {sale.buyer for sale in self.sales})

    @property
    def cast(self) -> tuple[Part, ...]:
        """Who plays: every party but the buyers that buy nothing, and the verifier."""
        playing = {*self.buyers, "institute"}
        return tuple(one for one in (*CAST, *MORE_BUYERS) if one.name not in BUYERS or one.name in playing)


def product_named(plot: Plot, name: str) -> Product:
    """A product of the plot."""
    return next(one for one in plot.products if one.name == name)
