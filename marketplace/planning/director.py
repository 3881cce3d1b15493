"""The director's page: every asset of a provider in numbers, the risk it runs, what a stop would cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from marketplace.accounting.rules import ACCOUNT, WRITTEN_DOWN
from marketplace.assets.models import Asset
from marketplace.costing.formulas import break_even_sales
from marketplace.costing.sheet import Asked, Books, CostSheet, books_of, cost_sheet, sheet_of
from marketplace.costing.tariffs import tariff_book
from marketplace.exchange.models import Offer
from marketplace.exchange.pricing import price_of_access
from marketplace.kernel.actor import Actor, Role
from marketplace.planning import queries, stopping
from marketplace.planning.forecast import (
    Range,
    Ranges,
    Sensitivity,
    Simulation,
    payback_date,
    result,
    sensitivities,
    simulate,
)
from marketplace.settlement.payables.overview import Standing, totals

CARRIED = frozenset({*ACCOUNT.values(), WRITTEN_DOWN})


@dataclass(frozen=True)
class AssetLine:
    """One asset: its cost sheet, since when it is listed, its list price (fen, None unlisted), when it pays back.

    carried_fen: its balance in the books as inventory or data asset, less what is written off; sales_to_go: further
    sales at the list price until its cost is met, 0 = it is met, None = never or no price; payback_at: None also for
    what is neither offered nor under a contract any more.
    """

    asset: Asset
    sheet: CostSheet
    listed_at: datetime | None
    list_price_fen: int | None
    carried_fen: int
    sales_to_go: int | None
    payback_at: datetime | None


@dataclass(frozen=True)
class Risk:
    """What a provider is exposed to; amounts in fen.

    to_answer: requests that wait for it; conditions, conditions_overdue: of its opinions, not met; proofs: state ->
    what buyers owe it; records_exposed: studies of versions of which a byte left as records, each version once;
    copies_out: agreements of which a delivery is not certified as deleted; smallest_group: of all that left, None =
    nothing left; one person in it is found by chance with 1 / smallest_group.
    """

    live_agreements: int
    to_answer: int
    conditions: int
    conditions_overdue: int
    proofs: dict[str, int]
    records_exposed: int
    copies_out: int
    smallest_group: int | None
    unpaid_fen: int
    overdue_fen: int


@dataclass(frozen=True)
class Page:
    """The director's page; the totals are the sums of the lines.  payables: what it owes for stages, what is paid."""

    provider: str
    at: datetime
    assets: list[AssetLine]
    total_fen: int
    revenue_fen: int
    kept_fen: int
    unrecovered_fen: int
    complete: bool
    payables: Standing
    risk: Risk
    stop: stopping.Stop


@dataclass(frozen=True)
class Assumed:
    """Ranges that a forecast is asked for.  cost_spread: ± thousandths of the cost in the books, at most 1000."""

    price: Range
    sales: Range
    operator: Range
    cost_spread: int


@dataclass(frozen=True)
class Outlook:
    """What an asset may bring in the end, fen: in its worst, middle and best case, and in drawn ones."""

    asset: str
    worst: int
    middle: int
    best: int
    sensitivities: list[Sensitivity]
    drawn: Simulation


def page(db: Session, provider: str, now: datetime) -> Page:
    """The director's page of a provider, read from its books and contracts."""
    listed, offers = queries.first_listed(db, provider), queries.listed_offers(db, provider)
    assets, live = queries.assets(db, provider), queries.live_agreements(db, provider, now)
    earning = offers.keys() | {one.asset_id for one in live}
    books = books_of(db, [one.id for one in assets])
    lines = [
        _line(one, books[one.id], listed.get(one.id), offers.get(one.id, ()), now, earning=one.id in earning)
        for one in assets
    ]
    return Page(
        provider=provider,
        at=now,
        assets=lines,
        total_fen=sum(one.sheet.total_fen for one in lines),
        revenue_fen=sum(one.sheet.revenue_fen for one in lines),
        kept_fen=sum(one.sheet.kept_fen for one in lines),
        unrecovered_fen=sum(one.sheet.unrecovered_fen for one in lines),
        complete=all(one.sheet.complete for one in lines),
        payables=totals(db, Actor(provider, frozenset({Role.PROVIDER})))[True],
        risk=_risk(db, provider, now),
        stop=_stop(db, provider, lines, now),
    )


def outlook(db: Session, asset_id: str, assumed: Assumed, now: datetime, *, seed: int, runs: int) -> Outlook:
    """What an asset may bring with the cost that its books tell; for rooms that have judged who may see it."""
    sheet = cost_sheet(db, asset_id, Asked(prices=(), sales=()), now)
    spread = sheet.total_fen * assumed.cost_spread // 1000
    cost = Range(sheet.total_fen - spread, sheet.total_fen + spread)
    ranges = Ranges(assumed.price, assumed.sales, assumed.operator, cost)
    marginal, terms = sheet.assumptions.marginal_fen, tariff_book().terms(now)
    return Outlook(
        asset=asset_id,
        worst=result(ranges.end(good=False), marginal, terms),
        middle=result(ranges.middle, marginal, terms),
        best=result(ranges.end(good=True), marginal, terms),
        sensitivities=sensitivities(ranges, marginal, terms),
        drawn=simulate(ranges, marginal, terms, seed=seed, runs=runs),
    )


def _line(
    asset: Asset, books: Books, listed: datetime | None, offers: Sequence[Offer], now: datetime, *, earning: bool
) -> AssetLine:
    prices = [price_of_access(one.price_plan).minor for one in offers]
    price = max(prices, default=None) or None
    sheet = sheet_of(asset.id, books, Asked(prices=[price] if price else ()), now)
    begun = earning or sheet.total_fen > 0
    return AssetLine(
        asset=asset,
        sheet=sheet,
        listed_at=listed,
        list_price_fen=price,
        carried_fen=sum(total for (account, _), total in books.sums.items() if account in CARRIED),
        sales_to_go=_sales_to_go(sheet, price, now),
        payback_at=payback_date(sheet.unrecovered_fen, sheet.kept_fen, listed if earning else None, now)
        if begun
        else None,
    )


def _sales_to_go(sheet: CostSheet, price: int | None, now: datetime) -> int | None:
    if price is None:
        return None
    if sheet.unrecovered_fen == 0:
        return 0  # also where a further sale would bring nothing
    return break_even_sales(sheet.unrecovered_fen, price, sheet.assumptions.marginal_fen, tariff_book().terms(now))


def _risk(db: Session, provider: str, now: datetime) -> Risk:
    left, conditions = queries.delivered(db, provider), queries.open_conditions(db, provider)
    unpaid, overdue = queries.unpaid(db, provider, now)
    exposed = {one.version: one.records for one in left if one.output == "records"}
    return Risk(
        live_agreements=len(queries.live_agreements(db, provider, now)),
        to_answer=queries.waiting_requests(db, provider),
        conditions=len(conditions),
        conditions_overdue=sum(one.due_at <= now for one in conditions),
        proofs=queries.duties(db, provider),
        records_exposed=sum(exposed.values()),
        copies_out=sum(not one.deleted for one in left),
        smallest_group=min((one.smallest_group for one in left), default=None),
        unpaid_fen=unpaid,
        overdue_fen=overdue,
    )


def _stop(db: Session, provider: str, lines: Sequence[AssetLine], now: datetime) -> stopping.Stop:
    charged, sunk = queries.charged(db, provider), Counter[str]()
    for one in lines:
        sunk.update(one.sheet.stages)
    return stopping.stop(
        [stopping.ended(one, charged, now) for one in queries.live_agreements(db, provider, now)],
        sunk,
        impairment=sum(one.carried_fen for one in lines),
        unrecovered=sum(one.sheet.unrecovered_fen for one in lines),
    )
