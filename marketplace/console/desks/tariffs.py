"""The tariffs in force: what is charged for what, since when, by which source."""

from __future__ import annotations

from datetime import date

from markupsafe import Markup

from marketplace.console import codes, formats
from marketplace.console.desks import codes as desk_codes
from marketplace.console.desks.sections import Cell, Page, Section, table, unbroken
from marketplace.console.reader import Reader
from marketplace.costing.tariffs import Tariff, tariff_book
from marketplace.registration.workdays import SHANGHAI

FEN = "fen_per_unit"


def page(reader: Reader) -> Page:
    """Every published tariff whose days have begun and not ended."""
    today, published = reader.now.astimezone(SHANGHAI).date(), tariff_book().published
    current = [one for one in published if _runs(one.tariff, today)]
    replaced = {one.tariff.supersedes for one in current}
    found = [one for one in current if one.id not in replaced]
    rows = [_row(reader, one.tariff) for one in found]
    heads = "charge value# known_range# in_force_since source"
    return Page(
        title=reader.say("tariffs"),
        sub=Cell(reader.say("tariffs_lead")),
        headline=(),
        sections=[Section(reader.say("in_force_now"), tables=[table(reader, heads, rows)])],
    )


def _runs(one: Tariff, today: date) -> bool:
    return one.valid_from <= today and (one.valid_until is None or today < one.valid_until)


def _row(reader: Reader, one: Tariff) -> list[Cell]:
    per = reader.name(desk_codes.TARIFF_UNITS, one.kind)
    only = " · ".join(
        reader.name(codes.IMAGING | desk_codes.HOSPITAL_LEVELS, value) for value in one.applies_to.values()
    )
    between = " – ".join(_value(reader, one, value) for value in one.range) if one.range else "–"
    source = Markup('<span lang="en">{}</span>').format(one.source)
    return [
        Cell(reader.name(desk_codes.TARIFFS, one.kind), note=only),
        Cell(_value(reader, one, one.value), note=per),
        Cell(between),
        Cell(unbroken(one.valid_from.isoformat())),
        Cell(source, note=reader.say("invented_figure") if one.value_is_example else ""),
    ]


def _value(reader: Reader, one: Tariff, value: int) -> str:
    return formats.money(value, reader.language) if one.measure == FEN else formats.percent(value)
