"""What buyers look for, by scenario, and how the catalogue meets each demand."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlmodel import Session

from marketplace.console import charts, formats, policies
from marketplace.console.desks import codes as desk_codes
from marketplace.console.desks.places import Places
from marketplace.console.desks.sections import Cell, Figure, Leaves, Page, Section, Table, money, table
from marketplace.console.reader import Reader
from marketplace.exchange import queries as exchange
from marketplace.exchange.models import Demand
from marketplace.participants import queries as participants
from marketplace.planning import board, matching
from marketplace.planning.matching import Filter, Match

DEMANDS, LISTINGS = 50, 50
# Codes, and where in the policy a reason stands, are for programs; readers get the reason.
_POINTER = re.compile(r"/permission/\d+ ?| ?[(（][a-z_]+[)）]")


def board_page(reader: Reader, cursor: str | None = None) -> Page:
    """The board of the scenarios and the demands, the latest first.

    cursor: behind which the demands begin.  Raises NotOnThisList.
    """
    demands = exchange.demands(reader.db, cursor=cursor, limit=DEMANDS)
    leaves = Places("/demand", {"cursor": cursor}).leaves("cursor", demands.next)
    reader.meet([one.buyer_id for one in demands.rows])
    return Page(
        title=reader.say("demand"),
        sub=Cell(reader.say("demand_lead")),
        headline=(),
        sections=[_board(reader), _demands(reader, demands.rows, leaves)],
    )


def matches_page(reader: Reader, asked: Demand, cursor: str | None = None) -> Page:
    """A demand before the catalogue: what fits, and of each filter that is not passed, why.

    cursor: behind which the listings begin that are judged on this page.  Raises BadCursor.
    """
    found, following = _matches(reader.db, reader, asked, cursor)
    note = reader.say("matches_note")
    if following or cursor:
        note = f"{note} {reader.say('page_of_listings').format(len(found))}"
    leaves = Places(f"/demand/{asked.id}", {"cursor": cursor}).leaves("cursor", following)
    english = reader.language == "en"
    rows = [
        [
            Cell(one.asset_name_en if english else one.asset_name, f"/listings/{one.listing}"),
            Cell(reader.say("it_fits" if one.fits else "it_does_not_fit"), bad=not one.fits),
            *(_filter(reader, asked, one, name) for name in desk_codes.FILTERS),
        ]
        for one in found
    ]
    filters = [(named, False) for named in (reader.name(desk_codes.FILTERS, one) for one in desk_codes.FILTERS)]
    heads = [(reader.say("data_asset"), False), (reader.say("result"), False), *filters]
    return Page(
        title=asked.title,
        sub=Cell(reader.name_of(asked.buyer_id)),
        neighbours=[Cell(reader.say("demand"), "/demand")],
        headline=[
            (reader.say("purpose"), Cell(policies.purpose(asked.purpose, reader.language))),
            (reader.say("budget"), money(reader, asked.budget_fen)),
            (reader.say("listings_that_fit"), Cell(f"{sum(one.fits for one in found):,} / {len(found):,}")),
        ],
        sections=[
            Section(
                title=reader.say("matches"),
                note=note,
                tables=[Table(heads, rows, reader.say("no_listings"))],
                leaves=leaves,
            )
        ],
    )


def _matches(db: Session, reader: Reader, asked: Demand, cursor: str | None) -> tuple[list[Match], str | None]:
    """A page of the catalogue judged, the latest listings first, of these what fits first; the cursor of the next."""
    foreign = participants.participant(db, asked.buyer_id).foreign_controlled
    page = exchange.visible(db, reader.now, cursor=cursor, limit=LISTINGS)
    judged = matching.ordered([matching.match(asked, row, foreign_controlled=foreign) for row in page.rows])
    return judged, page.next_cursor


def _filter(reader: Reader, asked: Demand, match: Match, name: str) -> Cell:
    found: Filter | None = next((one for one in match.filters if one.name == name), None)
    if found is None:
        return Cell(reader.say("left_open"))
    passed = reader.say("passed" if found.passed else "not_passed")
    return Cell(passed, note=_plainly(reader, found, asked), bad=not found.passed)


def _plainly(reader: Reader, found: Filter, asked: Demand) -> str:
    """Why, without codes and pointers, each reason once."""
    named = policies.purpose(asked.purpose, reader.language)
    said = re.sub(rf"\b{asked.purpose}\b", named, _POINTER.sub("", found.words[reader.language]))
    return "; ".join(dict.fromkeys(said.split("; ")))


def _board(reader: Reader) -> Section:
    found, told = board.board(reader.db, reader.now), board.mentions()
    english = reader.language == "en"
    bars = [charts.Bar(one.en if english else one.zh, one.gap, f"{one.gap:,}") for one in found if one.gap]
    heads = "scenario demands# buyers# listings_there# gap# mentions#"
    rows = [
        [
            Cell(one.en if english else one.zh),
            Cell(f"{one.demands:,}"),
            Cell(f"{one.buyers:,}"),
            Cell(f"{one.listings:,}"),
            Cell(f"{one.gap:,}", bad=one.gap > 0),
            Cell(
                "–" if one.mentions is None else f"{one.mentions:,} / {told.total:,}",
                note=reader.say("named_as_thin") if one.named_as_thin else "",
            ),
        ]
        for one in found
    ]
    source = reader.say("third_party").format(told.source, told.as_of.isoformat())
    return Section(
        title=reader.say("board"),
        note=source,
        figures=[Figure(charts.bars(reader.say("gap_note"), bars), reader.say("gap_note"))] if bars else (),
        tables=[table(reader, heads, rows)],
    )


def _demands(reader: Reader, demands: Sequence[Demand], leaves: Leaves) -> Section:
    rows = [
        [
            Cell(one.title, f"/demand/{one.id}"),
            Cell(reader.name_of(one.buyer_id)),
            Cell(policies.purpose(one.purpose, reader.language)),
            money(reader, one.budget_fen),
            Cell(formats.day(one.published_at, reader.language)),
        ]
        for one in demands
    ]
    heads = "demand_one buyer purpose budget# published_on"
    return Section(reader.say("demands"), tables=[table(reader, heads, rows, "no_demands")], leaves=leaves)
