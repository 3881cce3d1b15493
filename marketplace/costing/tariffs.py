"""Tariffs as versioned data: `contracts/tariffs/*.json`, loaded once and refused when inconsistent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from marketplace.costing.formulas import Terms
from marketplace.kernel.clock import CHINA
from marketplace.kernel.errors import Invalid

FOLDER = Path(__file__).resolve().parents[2] / "contracts" / "tariffs"

SUPPLIER_FEE = "exchange.supplier_fee"
VAT = "tax.vat"
SURCHARGE = "tax.surcharge"
MARGINAL_COST = "sale.marginal_cost"


class NoTariff(Invalid):
    """No tariff for this kind of event at that time."""


class Tariff(BaseModel):
    """One rate with its source.

    measure: what `value` counts; range: lowest and highest known value in the same measure.
    grade: how well the source is known (grades of domain.md); is_example: the whole row is invented;
    value_is_example: the row is real but the point value is the project's own proposal.
    valid_from, valid_until: first day, and first day no longer, in China.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = Field(pattern=r"^[a-z]+\.[a-z_]+$")
    measure: Literal["fen_per_unit", "per_mille_of_price", "per_mille_of_net", "per_mille_of_vat"]
    value: int = Field(ge=0)
    range: tuple[int, int] | None
    unit: str = Field(min_length=1)
    conditions: dict[str, str]
    valid_from: date
    valid_until: date | None
    source: str = Field(min_length=1)
    grade: Literal["P", "S", "T", "REP 4", "BK", "EX"]
    is_example: bool
    value_is_example: bool
    note: str

    @model_validator(mode="after")
    def _value_is_in_range(self) -> Self:
        if self.range is not None and not self.range[0] <= self.value <= self.range[1]:
            raise ValueError(f"{self.kind}: {self.value} is outside {self.range}")
        if self.valid_until is not None and self.valid_until <= self.valid_from:
            raise ValueError(f"{self.kind}: ends before it begins")
        return self

    def holds_on(self, day: date) -> bool:
        """Whether the tariff is in force on a day."""
        return self.valid_from <= day and (self.valid_until is None or day < self.valid_until)


class TariffSheet(BaseModel):
    """One published set of tariffs; a published set is never edited, a later one follows it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    title: str
    title_zh: str
    jurisdiction: str
    currency: Literal["CNY"]
    items: tuple[Tariff, ...]


@dataclass(frozen=True)
class PublishedTariff:
    """A tariff with its stable name: `<sheet>/<kind>@<first day>`."""

    id: str
    sheet: str
    currency: str
    tariff: Tariff


class TariffBook:
    """All sheets together; answers which tariff held at a moment."""

    def __init__(self, sheets: Iterable[TariffSheet]) -> None:
        self.published = tuple(
            PublishedTariff(f"{sheet.id}/{item.kind}@{item.valid_from}", sheet.id, sheet.currency, item)
            for sheet in sheets
            for item in sheet.items
        )
        for one, other in combinations(self.published, 2):
            if _overlap(one.tariff, other.tariff):
                raise ValueError(f"{one.id} and {other.id} hold on the same day")

    def at(self, kind: str, moment: datetime) -> PublishedTariff:
        """The tariff of a kind in force when something happened, however late it is rated.  Raises NoTariff."""
        day = moment.astimezone(CHINA).date()
        for one in self.published:
            if one.tariff.kind == kind and one.tariff.holds_on(day):
                return one
        raise NoTariff(
            "no tariff is in force for this kind of event",
            expected=f"a tariff for {kind} on {day}",
            action="publish one in contracts/tariffs, or agree a unit price",
        )

    def terms(self, moment: datetime, *, operator_per_mille: int = 0) -> Terms:
        """What is taken from a price at a moment; operator_per_mille: operator's share of the price without VAT."""
        return Terms(
            vat=self._rate(VAT, moment),
            surcharge=self._rate(SURCHARGE, moment),
            exchange_fee=self._rate(SUPPLIER_FEE, moment),
            operator=Fraction(operator_per_mille, 1000),
        )

    def _rate(self, kind: str, moment: datetime) -> Fraction:
        return Fraction(self.at(kind, moment).tariff.value, 1000)


@cache
def tariff_book() -> TariffBook:
    """The book of every published sheet, in order of file name."""
    files = sorted(FOLDER.glob("*.json"))
    return TariffBook(TariffSheet.model_validate_json(file.read_bytes()) for file in files)


def _overlap(one: Tariff, other: Tariff) -> bool:
    if one.kind != other.kind:
        return False
    first, second = sorted((one, other), key=lambda tariff: tariff.valid_from)
    return first.valid_until is None or second.valid_from < first.valid_until
