"""One asset before its provider's director: its cost sheet, its place in the balance sheet, what it may bring."""

from __future__ import annotations

from dataclasses import replace

from markupsafe import Markup
from pydantic import BaseModel
from pydantic import Field as ModelField

from marketplace.accounting import costs
from marketplace.accounting import queries as accounting
from marketplace.assets.models import Asset
from marketplace.console import charts, codes, formats
from marketplace.console.desks import codes as desk_codes
from marketplace.console.desks import postings
from marketplace.console.desks.gate import Desk
from marketplace.console.desks.links import neighbours
from marketplace.console.desks.sections import Cell, Field, Figure, Page, Section, amounts, as_of, money, table
from marketplace.console.reader import Reader
from marketplace.costing.sheet import Asked as SheetAsked
from marketplace.costing.sheet import CostSheet, cost_sheet
from marketplace.planning import director
from marketplace.planning.director import Assumed, Outlook
from marketplace.planning.forecast import Range

YUAN = 100
HALF = 500


RUNS = 1000


class Asked(BaseModel):
    """What the reader assumes: prices in yuan, shares and spread in per cent; the limits are those of the API."""

    price_low: int = ModelField(default=20_000, ge=1, le=10**10)
    price_high: int = ModelField(default=100_000, ge=1, le=10**10)
    sales_low: int = ModelField(default=1, ge=0, le=10**6)
    sales_high: int = ModelField(default=5, ge=0, le=10**6)
    operator_low: int = ModelField(default=0, ge=0, le=80)
    operator_high: int = ModelField(default=30, ge=0, le=80)
    cost_spread: int = ModelField(default=10, ge=0, le=100)
    seed: int = ModelField(default=1, ge=0, le=2**53)

    def assumed(self) -> Assumed:
        """The same as `planning` counts it.  Raises EmptyRange."""
        return Assumed(
            price=Range(self.price_low * YUAN, self.price_high * YUAN),
            sales=Range(self.sales_low, self.sales_high),
            operator=Range(self.operator_low * 10, self.operator_high * 10),
            cost_spread=self.cost_spread * 10,
        )

    def fields(self, reader: Reader) -> list[Field]:
        """What the reader is asked, with what was assumed."""
        found = []
        for name, one in type(self).model_fields.items():
            low, high = (getattr(limit, "ge", 0) or getattr(limit, "le", 0) for limit in one.metadata)
            found.append(Field(name, reader.say(name), getattr(self, name), low, high))
        return found


def page(reader: Reader, desk: Desk, asset_id: str, asked: Asked) -> Page:
    """The page of an asset of the desk's owner, from its registration on.  Raises NoSuchAsset, EmptyRange."""
    asset = accounting.readable_asset(reader.db, desk.actor, asset_id)
    sheet = cost_sheet(reader.db, asset_id, SheetAsked(), reader.now)
    outlook = director.outlook(reader.db, asset_id, asked.assumed(), reader.now, seed=asked.seed, runs=RUNS)
    behind = postings.address(desk, asset_id)
    below = [one for one in (asset.department, as_of(reader)) if one]
    return Page(
        title=asset.name_en if reader.language == "en" else asset.name,
        sub=Cell(reader.legal_name(desk.owner), note=Markup(" · ").join(below)),
        neighbours=[*neighbours(reader, desk), Cell(reader.say("postings"), behind)],
        headline=[
            (reader.say("cost_so_far"), replace(money(reader, sheet.total_fen), link=behind)),
            (reader.say("unit_cost"), money(reader, sheet.unit_cost_fen)),
            (reader.say("income"), replace(money(reader, sheet.revenue_fen), link=behind)),
            (reader.say("kept"), replace(money(reader, sheet.kept_fen), link=behind)),
        ],
        note="" if sheet.complete else reader.say("books_incomplete"),
        sections=[
            _stages(reader, asset, sheet),
            _break_even(reader, sheet),
            _balance_sheet(reader, asset),
            _outlook(reader, asked, outlook),
        ],
    )


def _stages(reader: Reader, asset: Asset, sheet: CostSheet) -> Section:
    stages = [(reader.name(codes.STAGES, stage), fen) for stage, fen in sheet.stages.items()]
    rows = [
        [
            Cell(reader.name(codes.STAGES, one.stage)),
            money(reader, one.estimate_fen),
            money(reader, one.actual_fen),
            money(reader, one.variance_fen, bad=True),
        ]
        for one in costs.estimate(reader.db, asset, sheet.records).lines
    ]
    return Section(
        title=reader.say("what_it_cost"),
        figures=[amounts(reader, "cost_by_stage", stages)],
        tables=[table(reader, "stage expected_cost# actual_cost# difference#", rows)],
    )


def _break_even(reader: Reader, sheet: CostSheet) -> Section:
    def words(count: int | None) -> str:
        return reader.say("never") if count is None else formats.sales(count, reader.language)

    bars = [
        charts.Bar(formats.money(price, reader.language), count or 0, words(count))
        for price, count in sheet.break_even.items()
    ]
    rows = [
        [Cell(formats.sales(sales, reader.language)), money(reader, price)] for sales, price in sheet.price_for.items()
    ]
    word = reader.say("break_even_note")
    return Section(
        title=reader.say("break_even"),
        note=reader.say("price_for_note"),
        figures=[Figure(charts.bars(word, bars), word)],
        tables=[table(reader, "number_of_sales price_for#", rows)],
    )


def _balance_sheet(reader: Reader, asset: Asset) -> Section:
    row = accounting.capitalisation(reader.db, asset.id)
    if row is None:
        return Section(reader.say("balance_sheet"), note=reader.say("expensed_note"))
    gone, _ = accounting.written_off(reader.db, row)
    parts = reader.name(desk_codes.PARTS, row.treatment).format(f"{row.parts:,}")
    facts = [
        (reader.say("treatment"), Cell(reader.name(desk_codes.TREATMENTS, row.treatment), note=parts)),
        (reader.say("capitalised"), Cell(formats.day(row.began_at, reader.language))),
    ]
    if row.ended_at:
        facts.append((reader.say("written_off_whole"), Cell(formats.day(row.ended_at, reader.language), bad=True)))
    bars = [(reader.say("capitalised_cost"), row.cost_minor), (reader.say("written_off"), gone)]
    return Section(
        title=reader.say("balance_sheet"),
        note=reader.say("rules_of_2024"),
        facts=facts,
        figures=[amounts(reader, "amortisation_note", bars)],
    )


def _outlook(reader: Reader, asked: Asked, found: Outlook) -> Section:
    def money_of(fen: int) -> str:
        return formats.money(fen, reader.language)

    cases = [("worst", found.worst), ("middle", found.middle), ("best", found.best)]
    ends = [charts.Span(reader.say(word), 0, fen, money_of(fen)) for word, fen in cases]
    drawn = [
        charts.Span(reader.say("of_the_runs").format(percent), 0, fen, money_of(fen))
        for percent, fen in found.drawn.percentiles.items()
    ]
    factors = [
        charts.Span(reader.name(desk_codes.FACTORS, one.factor), one.at_low, one.at_high, money_of(one.swing))
        for one in found.sensitivities
    ]
    loss = found.drawn.loss_per_mille
    figures = [("cases_note", ends), ("runs_note", drawn), ("factors_note", factors)]
    return Section(
        title=reader.say("simulation"),
        note=reader.say("simulation_note"),
        fields=asked.fields(reader),
        facts=[
            (reader.say("loss_share"), Cell(formats.percent(loss), bad=loss > HALF)),
            (reader.say("mean_result"), money(reader, found.drawn.mean)),
            (reader.say("runs"), Cell(f"{found.drawn.runs:,}")),
        ],
        figures=[Figure(charts.spans(reader.say(word), rows), reader.say(word)) for word, rows in figures],
    )
