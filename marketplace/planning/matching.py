"""Which listings meet a demand, and for every filter that one does not pass, why."""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.exchange.catalogue import CatalogueRow
from marketplace.exchange.models import Demand
from marketplace.exchange.pricing import Metered, Results, describe, price_of_access, read_plan
from marketplace.exchange.terms.purposes import match as match_purpose
from marketplace.kernel.canonical import Json
from marketplace.kernel.money import Money


@dataclass(frozen=True)
class Filter:
    """One condition of a demand.  words: {en, zh}, what was asked and what is there."""

    name: str
    passed: bool
    words: Json


@dataclass(frozen=True)
class Match:
    """A listing before a demand; it fits when every filter passes."""

    listing: str
    asset: str
    asset_name: str
    asset_name_en: str
    filters: list[Filter]

    @property
    def fits(self) -> bool:
        return all(one.passed for one in self.filters)


def match(demand: Demand, row: CatalogueRow, *, foreign_controlled: bool) -> Match:
    """Judge a visible listing by a demand; a field that the demand leaves open is no filter.

    foreign_controlled: whether the demand's buyer is, to whom data with genomic fields is never given (gate H5).
    """
    filters = [_purpose(demand, row)]
    for name, asked, there in (
        ("modality", demand.modality, row.asset.modality),
        ("body_part", demand.body_part, row.asset.body_part),
    ):
        if asked:
            filters.append(Filter(name, asked.casefold() == there.casefold(), _asked(asked, there or "–")))
    if demand.budget_fen is not None:
        filters.append(_budget(demand.budget_fen, row.offer.price_plan))
    if foreign_controlled:
        genomic = row.asset.contains_genomic
        words = {
            "en": f"genomic fields: {'yes, not for a foreign-controlled party' if genomic else 'none'}",
            "zh": f"基因数据字段：{'有，不得提供给外方控制的主体' if genomic else '无'}",
        }
        filters.append(Filter("genomic", not genomic, words))
    return Match(row.listing.id, row.asset.id, row.asset.name, row.asset.name_en, filters)


def ordered(matches: list[Match]) -> list[Match]:
    """What fits first, then by how many filters pass; else in the order given."""
    return sorted(matches, key=lambda one: (not one.fits, -sum(each.passed for each in one.filters)))


def _purpose(demand: Demand, row: CatalogueRow) -> Filter:
    found = match_purpose(row.offer.uses, demand.purpose)
    words = {language: "; ".join(one[language] for one in found.reasons) for language in ("en", "zh")}
    return Filter("purpose", found.fits, words)


def _budget(budget: int, plan: Json) -> Filter:
    """The price of access against a budget; what uses or a result cost beside it is said, for a budget counts none."""
    price = price_of_access(plan)
    amounts = {
        "en": f"asked: {Money(budget)}; there: {price}",
        "zh": f"需求：{_yuan(Money(budget))}；现有：{_yuan(price)}",
    }
    if isinstance(read_plan(plan), Metered | Results):
        amounts["en"] += f". {describe(plan, 'en')}"
        amounts["zh"] += f"。{describe(plan, 'zh')}"
    return Filter("budget", price.minor <= budget, amounts)


def _yuan(amount: Money) -> str:
    return f"{amount.decimal:,.2f} 元"


def _asked(asked: object, there: object) -> Json:
    return {"en": f"asked: {asked}; there: {there}", "zh": f"需求：{asked}；现有：{there}"}
