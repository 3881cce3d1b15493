"""The director's page: every asset in numbers, the risk, what a stop would cost; as `planning.director` says it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from marketplace.accounting import costs
from marketplace.accounting import queries as accounting
from marketplace.accounting.costs import Grouping
from marketplace.accounting.models import Capitalisation
from marketplace.console import charts, codes, formats
from marketplace.console.desks import codes as desk_codes
from marketplace.console.desks.gate import Desk
from marketplace.console.desks.links import neighbours
from marketplace.console.desks.sections import Cell, Figure, Page, Section, amounts, as_of, money, table
from marketplace.console.reader import Reader
from marketplace.planning import director, queries
from marketplace.planning.director import AssetLine, Risk
from marketplace.planning.stopping import Stop

WHOLE = 1000


def page(reader: Reader, desk: Desk) -> Page:
    """The page of a provider.  Raises NotAProvider."""
    found = director.page(reader.db, queries.whose(desk.actor, None), reader.now)
    carried = {one.asset_id: one for one in accounting.capitalised_by(reader.db, desk.id)}
    reader.known.update((one.asset.id, _name(reader, one)) for one in found.assets)
    reader.meet([one.buyer for one in found.stop.ended])
    return Page(
        title=reader.say("director_title"),
        sub=Cell(reader.legal_name(desk.owner), note=as_of(reader)),
        neighbours=neighbours(reader, desk),
        headline=_headline(reader, found),
        note=reader.say("books_note" if found.complete else "books_incomplete"),
        sections=[
            _portfolio(reader, desk, found.assets, carried),
            _costs(reader, desk, found),
            _risk(reader, found.risk),
            _stop(reader, found.stop),
        ],
    )


def _name(reader: Reader, line: AssetLine) -> str:
    return line.asset.name_en if reader.language == "en" else line.asset.name


def _headline(reader: Reader, found: director.Page) -> list[tuple[str, Cell]]:
    return [
        (reader.say("cost_so_far"), money(reader, found.total_fen)),
        (reader.say("income"), money(reader, found.revenue_fen)),
        (reader.say("kept"), money(reader, found.kept_fen)),
        (reader.say("not_recovered"), money(reader, found.unrecovered_fen)),
    ]


def _portfolio(reader: Reader, desk: Desk, lines: Sequence[AssetLine], carried: dict[str, Capitalisation]) -> Section:
    heads = "data_asset total_cost# sales# income# list_price# pays_back in_the_books"
    rows = [_row(reader, desk, one, carried.get(one.asset.id)) for one in lines]
    earned = [(one, max(one.sheet.recovered_per_mille or 0, 0)) for one in lines]
    bars = [charts.Bar(_name(reader, one), share, _share(reader, one)) for one, share in earned]
    word = reader.say("earned_back_note")
    return Section(
        title=reader.say("portfolio"),
        figures=[Figure(charts.bars(word, bars, full=WHOLE), word)] if bars else (),
        tables=[table(reader, heads, rows, "no_assets")],
    )


def _row(reader: Reader, desk: Desk, line: AssetLine, carried: Capitalisation | None) -> list[Cell]:
    sheet = line.sheet
    to_go = reader.say("never") if line.sales_to_go is None else f"{line.sales_to_go:,}"
    return [
        Cell(_name(reader, line), f"/participants/{desk.id}/assets/{line.asset.id}"),
        _with(money(reader, sheet.total_fen), reader.say("a_study"), money(reader, sheet.unit_cost_fen)),
        Cell(f"{sheet.sales:,}"),
        _with(money(reader, sheet.revenue_fen), reader.say("kept_short"), money(reader, sheet.kept_fen)),
        _with(money(reader, line.list_price_fen), reader.say("sales_to_go"), Cell(to_go)),
        Cell(_payback(reader, line)),
        Cell(
            reader.name(desk_codes.TREATMENTS, carried.treatment) if carried else reader.say("as_expense"),
            note=formats.money(line.carried_fen, reader.language) if carried else "",
        ),
    ]


def _payback(reader: Reader, line: AssetLine) -> str:
    if line.payback_at is None:
        return reader.say("not_at_this_rate")
    return reader.say("paid_back") if line.payback_at <= reader.now else formats.day(line.payback_at, reader.language)


def _with(cell: Cell, word: str, beside: Cell) -> Cell:
    """A field with a second figure below it; neither where there is none."""
    return cell if "–" in (cell.words, beside.words) else replace(cell, note=f"{word}: {beside.words}")


def _share(reader: Reader, line: AssetLine) -> str:
    share = line.sheet.recovered_per_mille
    return reader.say("no_cost_yet") if share is None else formats.percent(share)


def _costs(reader: Reader, desk: Desk, found: director.Page) -> Section:
    stages = [(reader.name(codes.STAGES, stage), fen) for stage, fen in found.stop.sunk.items()]
    owed, there = found.payables, f"/participants/{desk.id}/payables"
    groups = costs.grouped(reader.db, desk.actor, Grouping.DEPARTMENT)
    rows = [[Cell(one.name or reader.say("no_department")), money(reader, one.cost_fen)] for one in groups]
    return Section(
        title=reader.say("what_it_cost"),
        facts=[
            (reader.say("to_pay_stages"), replace(money(reader, owed.owed_fen), link=there)),
            (reader.say("on_its_way"), money(reader, owed.ordered_fen)),
            (reader.say("paid_stages"), money(reader, owed.paid_fen)),
            *([(reader.say("gets_back"), money(reader, owed.back_fen))] if owed.back_fen else []),
        ],
        figures=[amounts(reader, "cost_by_stage", stages)] if stages else (),
        tables=[table(reader, "department total_cost#", rows, "no_cost_yet")],
    )


def _risk(reader: Reader, risk: Risk) -> Section:
    def count(word: str, number: int, *, bad: bool = False) -> tuple[str, Cell]:
        return reader.say(word), Cell(f"{number:,}", bad=bad and number > 0)

    group = reader.say("nothing_left") if risk.smallest_group is None else f"{risk.smallest_group:,}"
    chance = "" if not risk.smallest_group else reader.say("chance_of_one").format(f"{risk.smallest_group:,}")
    owed = [(reader.name(codes.DUTY_STATES, state), state, number) for state, number in risk.proofs.items()]
    return Section(
        title=reader.say("risk"),
        facts=[
            count("live_agreements", risk.live_agreements),
            count("to_answer", risk.to_answer),
            count("conditions_open", risk.conditions),
            count("conditions_overdue", risk.conditions_overdue, bad=True),
            *(
                (f"{reader.say('proofs_owed')}: {named}", Cell(f"{number:,}", bad=state == "overdue"))
                for named, state, number in owed
            ),
            count("records_exposed", risk.records_exposed),
            count("copies_out", risk.copies_out),
            (reader.say("smallest_group"), Cell(group, note=chance)),
            (reader.say("unpaid"), money(reader, risk.unpaid_fen)),
            (reader.say("overdue"), money(reader, risk.overdue_fen, bad=True)),
        ],
    )


def _stop(reader: Reader, stop: Stop) -> Section:
    rows = [
        [
            Cell(reader.name_of_asset(one.asset)),
            Cell(reader.name_of(one.buyer)),
            Cell(formats.day(one.ends_at, reader.language)),
            money(reader, one.refund_fen),
            money(reader, one.lost_fen),
        ]
        for one in stop.ended
    ]
    parts = [("refund", stop.refund_fen), ("lost_income", stop.lost_fen), ("write_off", stop.impairment_fen)]
    return Section(
        title=reader.say("if_stopped"),
        note=reader.say("if_stopped_note"),
        facts=[
            (reader.say("stop_costs"), money(reader, stop.cost_fen)),
            (reader.say("not_recovered"), money(reader, stop.unrecovered_fen)),
        ],
        figures=[amounts(reader, "stop_parts", ((reader.say(word), fen) for word, fen in parts))],
        tables=[table(reader, "data_asset buyer contract_ends refund# lost_income#", rows, "nothing_to_end")],
    )
