"""Every posting behind an asset's cost and income, each with the log entries that prove it."""

from __future__ import annotations

from marketplace.accounting import queries as accounting
from marketplace.console import formats
from marketplace.console.desks import codes
from marketplace.console.desks.gate import Desk
from marketplace.console.desks.links import neighbours
from marketplace.console.desks.places import Places
from marketplace.console.desks.sections import Cell, Page, Section, as_of, money, table
from marketplace.console.reader import Reader
from marketplace.costing.behind import Source, sources
from marketplace.costing.sheet import Asked, cost_sheet

LINES = 100


def address(desk: Desk, asset_id: str) -> str:
    """Where the page of an asset's postings is."""
    return f"/participants/{desk.id}/assets/{asset_id}/postings"


def page(reader: Reader, desk: Desk, asset_id: str, cursor: str | None = None) -> Page:
    """The postings of an asset of the desk's owner; the columns sum to the figures on top over all pages.

    cursor: behind which its table begins.  Raises NoSuchAsset, NotOnThisList.
    """
    asset = accounting.readable_asset(reader.db, desk.actor, asset_id)
    sheet = cost_sheet(reader.db, asset_id, Asked(prices=(), sales=()), reader.now)
    found = sources(reader.db, asset_id, cursor=cursor, limit=LINES)
    places = Places(address(desk, asset_id), {"cursor": cursor})
    heads = "charge time total_cost# income# kept# proof_of_cause proof_of_posting"
    rows = [_row(reader, one) for one in found.rows]
    return Page(
        title=asset.name_en if reader.language == "en" else asset.name,
        sub=Cell(reader.legal_name(desk.owner), note=as_of(reader)),
        neighbours=[
            *neighbours(reader, desk),
            Cell(reader.say("to_asset"), f"/participants/{desk.id}/assets/{asset_id}"),
        ],
        headline=[
            (reader.say("cost_so_far"), money(reader, sheet.total_fen)),
            (reader.say("income"), money(reader, sheet.revenue_fen)),
            (reader.say("kept"), money(reader, sheet.kept_fen)),
        ],
        note="" if sheet.complete else reader.say("books_incomplete"),
        sections=[
            Section(
                title=reader.say("postings"),
                note=reader.say("postings_note"),
                tables=[table(reader, heads, rows, "no_postings")],
                leaves=places.leaves("cursor", found.next),
            )
        ],
    )


def _row(reader: Reader, one: Source) -> list[Cell]:
    booked = one.transaction
    return [
        Cell(reader.name(codes.TRANSACTIONS, booked.kind), note=_rate(reader, one)),
        Cell(formats.minute(booked.at, reader.language)),
        *(money(reader, fen or None) for fen in (one.cost_fen, one.revenue_fen, one.kept_fen)),
        Cell(reader.say("leaf"), f"/entries/{booked.entry_id}"),
        Cell(reader.say("leaf"), f"/entries/{booked.posting_entry_id}"),
    ]


def _rate(reader: Reader, one: Source) -> str:
    """How many at which price; of a correction that it is one."""
    booked, said = one.transaction, []
    if booked.unit_price_minor is not None and booked.quantity:
        said.append(f"{booked.quantity:,} × {formats.money(booked.unit_price_minor, reader.language)}")
    if booked.reverses is not None:
        said.append(reader.say("taken_back"))
    return " · ".join(said)
