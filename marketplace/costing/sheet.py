"""The cost sheet of an asset, read from the books: what it cost, what it earned, when it pays back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from marketplace.costing import formulas, queries
from marketplace.costing.tariffs import MARGINAL_COST, tariff_book
from marketplace.ledger import queries as ledger
from marketplace.ledger.accounts import Sheet, chart

STAGES = ("collected", "governed", "assessed", "certified", "listed")
DEFAULT_PRICES_FEN = (2_000_000, 5_000_000, 10_000_000)
DEFAULT_SALES = (1, 2, 3, 5, 10, 20)


@dataclass(frozen=True)
class Assumptions:
    """What the forecast part of a sheet rests on.

    marginal_fen: cost of serving one sale; operator_per_mille: operator's share of the price without VAT.
    """

    marginal_fen: int
    operator_per_mille: int


@dataclass(frozen=True)
class Asked:
    """What a sheet is to judge.

    prices: fen, VAT included -> how many sales break even; sales: numbers -> which price breaks even; records: studies
    of the version, None = scans governed and posted; marginal_fen: None = the planning figure of the tariffs;
    operator_per_mille: operator's share of the price without VAT.
    """

    prices: Sequence[int] = DEFAULT_PRICES_FEN
    sales: Sequence[int] = DEFAULT_SALES
    records: int | None = None
    marginal_fen: int | None = None
    operator_per_mille: int = 0


@dataclass(frozen=True)
class CostSheet:
    """Cost and income of an asset; every amount in fen and from the books, the forecasts from the formulas.

    stages: cost by passport stage, all five in order, then any other; records: what unit_cost_fen divides by.
    revenue_fen: what buyers were charged, VAT included; kept_fen: what is left of it after VAT, surcharge and fee.
    recovered_per_mille: kept_fen of total_fen, None without cost; break_even: price -> sales, None = never;
    price_for: sales -> price.  pending: kind -> events metered and not yet posted; complete: there are none.
    """

    asset: str
    currency: str
    records: int
    stages: dict[str, int]
    total_fen: int
    unit_cost_fen: int | None
    sales: int
    revenue_fen: int
    kept_fen: int
    recovered_per_mille: int | None
    unrecovered_fen: int
    break_even: dict[int, int | None]
    price_for: dict[int, int]
    assumptions: Assumptions
    pending: dict[str, int]

    @property
    def complete(self) -> bool:
        return not self.pending


@dataclass(frozen=True)
class Books:
    """What the books hold of one asset.

    sums: (account, stage) -> minor units; quantities: kind of event -> units posted; waiting: kinds of the events that
    are metered and not posted, one for each.
    """

    sums: Mapping[tuple[str, str | None], int]
    quantities: Mapping[str, int]
    waiting: Sequence[str]


def cost_sheet(db: Session, asset_id: str, asked: Asked, now: datetime) -> CostSheet:
    """The cost sheet of an asset; for upper rooms, which have judged who may see it.

    now: picks the taxes and fees of the forecast.
    """
    return sheet_of(asset_id, books_of(db, [asset_id])[asset_id], asked, now)


def books_of(db: Session, assets: Collection[str]) -> dict[str, Books]:
    """Asset -> what the books hold of it, for any number of assets in three statements."""
    sums, quantities = ledger.sums_of_assets(db, assets), ledger.quantities_of_assets(db, assets)
    waiting = queries.waiting_kinds(db, assets)
    return {one: Books(sums.get(one, {}), quantities.get(one, {}), waiting.get(one, ())) for one in assets}


def sheet_of(asset_id: str, books: Books, asked: Asked, now: datetime) -> CostSheet:
    """The cost sheet of an asset from what the books hold of it; arguments as of `cost_sheet`."""
    book = tariff_book()
    marginal = book.at(MARGINAL_COST, now).tariff.value if asked.marginal_fen is None else asked.marginal_fen
    terms = book.terms(now, operator_per_mille=asked.operator_per_mille)
    stages, sums, quantities = _by_stage(books.sums), books.sums, books.quantities
    total = sum(stages.values())
    kept = -_sum(sums, "revenue") - _sum(sums, "selling_cost")
    counted = quantities.get("governance.scan", 0) if asked.records is None else asked.records

    return CostSheet(
        asset=asset_id,
        currency="CNY",
        records=counted,
        stages=stages,
        total_fen=total,
        unit_cost_fen=formulas.unit_cost(total, counted),
        sales=quantities.get("sale.access", 0),
        revenue_fen=-_sum(sums, "revenue") - _sum(sums, "output_tax"),
        kept_fen=kept,
        recovered_per_mille=formulas.per_mille(kept, total),
        unrecovered_fen=max(total - kept, 0),
        break_even={price: formulas.break_even_sales(total, price, marginal, terms) for price in asked.prices},
        price_for={n: formulas.price_for_sales(total, n, marginal, terms) for n in asked.sales},
        assumptions=Assumptions(marginal, asked.operator_per_mille),
        pending={kind: books.waiting.count(kind) for kind in sorted(set(books.waiting))},
    )


def _by_stage(sums: Mapping[tuple[str, str | None], int]) -> dict[str, int]:
    costs = chart().feeding("cost")
    stages = dict.fromkeys(STAGES, 0)
    for (account, stage), total in sums.items():
        if account in costs:
            stages[stage or "other"] = stages.get(stage or "other", 0) + total
    return stages


def _sum(sums: Mapping[tuple[str, str | None], int], sheet: Sheet) -> int:
    accounts = chart().feeding(sheet)
    return sum(total for (account, _), total in sums.items() if account in accounts)
