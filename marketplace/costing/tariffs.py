"""Tariffs as versioned data: `contracts/tariffs/*.json`, loaded once and refused when inconsistent."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from marketplace.costing.formulas import Terms
from marketplace.kernel.canonical import digest
from marketplace.kernel.clock import CHINA
from marketplace.kernel.errors import Invalid
from marketplace.kernel.money import round_half_up

FOLDER = Path(__file__).resolve().parents[2] / "contracts" / "tariffs"

_CODE = re.compile(r"[A-Z0-9]{2,16}")

SUPPLIER_FEE = "exchange.supplier_fee"
VAT = "tax.vat"
SURCHARGE = "tax.surcharge"
MARGINAL_COST = "sale.marginal_cost"


Attributes: TypeAlias = Mapping[str, str | int]


class NoTariff(Invalid):
    """No tariff for this kind of event at that time."""


class Discount(BaseModel):
    """A reduction for volume or frequency.

    by: attribute of the event that is counted, e.g. `engagements_12m` (how often this payer engaged this payee in the
    twelve months before) or `records` (size of what is assessed); at_least: from how many on.
    per_mille: what is left of the value; of several that are reached the lowest counts, they never add up.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    at_least: int = Field(ge=1)
    per_mille: int = Field(ge=0, le=1000)


class Tariff(BaseModel):
    """One rate with its source.

    measure: what `value` counts; range: lowest and highest known value in the same measure.
    grade: how well the source is known (docs/explanation/the-books.md, "Tariffs"); is_example: the row is invented;
    value_is_example: the row is real but the point value is the project's own proposal.
    conditions: what the source says of the figure, in words; applies_to: attributes that an event must have, by code.
    supersedes: id of a published tariff whose place this one takes on its days, also on days that are over.
    valid_from, valid_until: first day, and first day no longer, in China.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = Field(pattern=r"^[a-z]+\.[a-z_]+$")
    measure: Literal["fen_per_unit", "per_mille_of_price", "per_mille_of_net", "per_mille_of_vat"]
    value: int = Field(ge=0)
    range: tuple[int, int] | None
    unit: str = Field(min_length=1)
    conditions: dict[str, str]
    applies_to: dict[str, str] = Field(default_factory=dict)
    discounts: tuple[Discount, ...] = ()
    supersedes: str | None = None
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

    def fits(self, attributes: Attributes) -> bool:
        """Whether an event has what the tariff applies to."""
        return all(attributes.get(name) == value for name, value in self.applies_to.items())

    def unit_price(self, attributes: Attributes) -> int:
        """The value less the largest discount reached, rounded half up to the fen."""
        reached = [one.per_mille for one in self.discounts if _count(attributes.get(one.by)) >= one.at_least]
        return round_half_up(Fraction(self.value * min(reached, default=1000), 1000))


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
    """A tariff with its stable name: `<sheet>/<kind>@<first day>`, and what it applies to where it does not to all."""

    id: str
    sheet: str
    currency: str
    tariff: Tariff


class TariffBook:
    """All sheets together; answers which tariff held at a moment for an event.

    Of the tariffs that fit, the one with most conditions counts; a superseded one counts where its successor does not
    hold.  Sheets in which two would fit equally are refused.
    """

    def __init__(self, sheets: Iterable[TariffSheet]) -> None:
        self.published = tuple(
            PublishedTariff(_name(sheet, item), sheet.id, sheet.currency, item)
            for sheet in sheets
            for item in sheet.items
        )
        self._by_kind: dict[str, list[PublishedTariff]] = defaultdict(list)
        for published in self.published:
            self._by_kind[published.tariff.kind].append(published)
        self._terms: dict[tuple[date, int], Terms] = {}
        self._check()

    @property
    def revision(self) -> str | None:
        """Names the set of back-dated changes, None where no tariff supersedes another."""
        later = [one.id for one in self.published if one.tariff.supersedes]
        return digest(sorted(later)) if later else None

    def at(self, kind: str, moment: datetime, attributes: Attributes | None = None) -> PublishedTariff:
        """The tariff of a kind in force when something happened, however late it is rated.

        attributes: of the event, None for one without.  Raises NoTariff.
        """
        day, known = moment.astimezone(CHINA).date(), attributes or {}
        fitting = [one for one in self._by_kind[kind] if one.tariff.holds_on(day) and one.tariff.fits(known)]
        gone = {one.tariff.supersedes for one in fitting}
        left = [one for one in fitting if one.id not in gone]
        if left:
            return max(left, key=lambda one: len(one.tariff.applies_to))
        raise NoTariff(
            "no tariff is in force for this kind of event",
            expected=f"a tariff for {kind} on {day}",
            action="publish one in contracts/tariffs, or agree a unit price",
        )

    def terms(self, moment: datetime, *, operator_per_mille: int = 0) -> Terms:
        """What is taken from a price at a moment; operator_per_mille: operator's share of the price without VAT."""
        day = moment.astimezone(CHINA).date()
        known = self._terms.get((day, operator_per_mille))
        if known is None:
            known = self._terms[day, operator_per_mille] = Terms(
                vat=self._rate(VAT, moment),
                surcharge=self._rate(SURCHARGE, moment),
                exchange_fee=self._rate(SUPPLIER_FEE, moment),
                operator=Fraction(operator_per_mille, 1000),
            )
        return known

    def _rate(self, kind: str, moment: datetime) -> Fraction:
        return Fraction(self.at(kind, moment).tariff.value, 1000)

    def _check(self) -> None:
        names = {one.id for one in self.published}
        if len(names) != len(self.published):
            raise ValueError("a tariff is published twice on the same day under the same conditions")
        for one in self.published:
            if one.tariff.supersedes is not None and one.tariff.supersedes not in names:
                raise ValueError(f"{one.id} supersedes {one.tariff.supersedes}, which is not published")
        for rows in self._by_kind.values():
            for one, other in combinations(rows, 2):
                related = other.id in self._before(one) or one.id in self._before(other)
                if not related and _clash(one.tariff, other.tariff):
                    raise ValueError(f"{one.id} and {other.id} hold on the same day")

    def _before(self, published: PublishedTariff) -> set[str]:
        """What a tariff supersedes, and what that one does, and so on."""
        found, by_id = set[str](), {one.id: one for one in self.published}
        name = published.tariff.supersedes
        while name is not None and name not in found:
            found.add(name)
            name = by_id[name].tariff.supersedes
        return found


def tariff_attributes(
    modality: str, body_part: str, credit_code: str, hospital_level: str | None = None
) -> dict[str, str | int]:
    """What tariffs may ask of a stage, as codes: DICOM modality and body part, province and level of its bearer.

    credit_code: unified social credit code (GB 32100), whose third and fourth digit are the province (GB/T 2260);
    hospital_level: as verified at admission, None for who is no hospital.  Words that are no code are left out:
    attributes enter the log.
    """
    named = {"modality": modality.upper(), "body_part": body_part.upper(), "region": credit_code[2:4]}
    named |= {"hospital_level": hospital_level.upper()} if hospital_level else {}
    return {name: value for name, value in named.items() if _CODE.fullmatch(value)}


@cache
def tariff_book() -> TariffBook:
    """The book of every published sheet, in order of file name."""
    files = sorted(FOLDER.glob("*.json"))
    return TariffBook(TariffSheet.model_validate_json(file.read_bytes()) for file in files)


def _name(sheet: TariffSheet, item: Tariff) -> str:
    conditions = ",".join(f"{name}={value}" for name, value in sorted(item.applies_to.items()))
    return f"{sheet.id}/{item.kind}@{item.valid_from}" + (f"[{conditions}]" if conditions else "")


def _count(value: str | int | None) -> int:
    return value if isinstance(value, int) else 0


def _clash(one: Tariff, other: Tariff) -> bool:
    """Whether some event of some day would find both, neither with more conditions than the other."""
    mine, theirs = one.applies_to, other.applies_to
    if len(mine) != len(theirs) or any(theirs.get(name, value) != value for name, value in mine.items()):
        return False
    first, second = sorted((one, other), key=lambda tariff: tariff.valid_from)
    return first.valid_until is None or second.valid_from < first.valid_until
