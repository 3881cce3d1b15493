"""What the teller of a year remembers between two acts."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from marketplace.client.api import ApiClient
from seeds.forms import CHEST_CT
from seeds.stages import Scene
from seeds.world import World
from seeds.year.almanac import Almanac
from seeds.year.plot import Plot, Product, Sale


@dataclass
class Made:
    """A product on its way.  ids as the service gave them, empty until then."""

    product: Product
    scene: Scene
    asset: str = ""
    raw: str = ""
    version: str = ""
    application: str = ""
    listing: str = ""


@dataclass
class Deal:
    """A sale with its contracts.  line: each agreement with the start of its term; amendments and renewals follow."""

    sale: Sale
    purpose: str
    line: dict[str, datetime]

    def agreement(self, now: datetime) -> str:
        """The agreement whose term has begun last."""
        return [name for name, starts in self.line.items() if starts <= now][-1]


@dataclass
class Year:
    """One telling.

    deals: that are used; ended: that the hospital ended; deeds: what was done, with its outcome, in order;
    statement: number of the last bank statement.
    """

    almanac: Almanac
    world: World
    plot: Plot
    dice: random.Random
    made: dict[str, Made] = field(default_factory=dict)
    deals: list[Deal] = field(default_factory=list)
    ended: list[Deal] = field(default_factory=list)
    deeds: list[dict[str, Any]] = field(default_factory=list)
    statement: int = 0

    def __getitem__(self, party: str) -> ApiClient:
        return self.world[party]

    @property
    def now(self) -> datetime:
        return self.almanac.clock.now()

    def day(self, on: str) -> datetime:
        """`04-10` of the year, 09:00 in China; `01-05+1`: of the year after."""
        text, _, later = on.partition("+")
        month, day = map(int, text.split("-"))
        began = self.world.began
        return began.replace(year=began.year + int(later or 0), month=month, day=day)

    def deal(self, product: str, buyer: str) -> Deal:
        """The deal of a buyer on a product."""
        return next(one for one in self.deals if (one.sale.product, one.sale.buyer) == (product, buyer))

    def agreement(self, product: str, buyer: str) -> str:
        """The agreement of that deal as of now."""
        return self.deal(product, buyer).agreement(self.now)

    def add(self, product: Product) -> Made:
        """Begin a product."""
        made = Made(product, Scene(self.world, f"year-{product.name}", _form(product)))
        self.made[product.name] = made
        return made

    def note(self, what: str, **outcome: Any) -> None:
        """Remember that something was done."""
        self.deeds.append({"at": self.now.isoformat(), "what": what, **outcome})


def _form(product: Product) -> dict[str, Any]:
    """The registration form of a product."""
    return CHEST_CT | {
        "name": f"2024{product.department}示例{product.name}数据集",
        "name_en": f"{product.name}: {product.modality} {product.body_part} 2024 (example)",
        "overview": f"虚构示例：{product.patients}名受检者的{product.modality}影像，已去标识化。",
        "overview_en": f"Invented example: de-identified {product.modality} of {product.patients} patients.",
        "time_from": "2024-01-01",
        "time_to": "2024-12-31",
        "modality": product.modality,
        "body_part": product.body_part,
        "keywords": [product.name, product.modality],
        "department": product.department,
        "contains_genomic": product.genomic,
    }
