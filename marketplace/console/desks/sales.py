"""The clerk's page of a provider or an exchange: what was billed, what is open, how it is divided, closed months."""

from __future__ import annotations

from collections.abc import Mapping

from marketplace.console import codes, formats
from marketplace.console.desks import codes as desk_codes
from marketplace.console.desks import negotiations
from marketplace.console.desks.gate import Desk
from marketplace.console.desks.links import neighbours
from marketplace.console.desks.places import Places
from marketplace.console.desks.purchases import invoices_section
from marketplace.console.desks.sections import Cell, Page, Section, money, table, unbroken
from marketplace.console.desks.shares import own_share, waterfall
from marketplace.console.reader import Reader
from marketplace.kernel.actor import Role
from marketplace.ledger import queries as ledger
from marketplace.ledger.accounts import chart
from marketplace.negotiation.rules import Side
from marketplace.planning import queries as planning
from marketplace.settlement import overview

LINES, INVOICES, MONTHS = 50, 50, 24


def page(reader: Reader, desk: Desk, asked: Mapping[str, str | None]) -> Page:
    """The page of a provider or of an exchange.

    asked: where its `invoices` and `negotiations` begin.  Raises NotOnThisList.
    """
    places = Places(f"/participants/{desk.id}/sales", asked)
    sells = desk.actor.has(Role.PROVIDER)
    divided = overview.divided(reader.db, desk.actor)
    return Page(
        title=reader.say("sales_title"),
        sub=Cell(reader.legal_name(desk.owner)),
        neighbours=neighbours(reader, desk),
        headline=[
            *(_receivables(reader, desk) if sells else []),
            *own_share(reader, divided),
        ],
        sections=[
            *([_billed(reader, desk)] if sells else [_issued(reader, desk, places)]),
            waterfall(reader, divided),
            _balances(reader, desk),
            *([negotiations.section(reader, desk, Side.PROVIDER, places)] if sells else []),
            _months(reader),
        ],
    )


def _receivables(reader: Reader, desk: Desk) -> list[tuple[str, Cell]]:
    unpaid, overdue = planning.unpaid(reader.db, desk.id, reader.now)
    return [
        (reader.say("unpaid"), money(reader, unpaid)),
        (reader.say("overdue"), money(reader, overdue, bad=True)),
    ]


def _billed(reader: Reader, desk: Desk) -> Section:
    found = overview.sold_lines(reader.db, desk.actor, limit=LINES)
    reader.meet([invoice.buyer_id for _, invoice in found], [line.asset_id for line, _ in found])
    heads = "charge buyer data_asset time amount# invoice due state"
    rows = [
        [
            Cell(reader.name(codes.CHARGES, line.kind), f"/entries/{line.entry_id}"),
            Cell(reader.name_of(invoice.buyer_id)),
            Cell(reader.name_of_asset(line.asset_id)),
            Cell(formats.day(line.at, reader.language)),
            money(reader, line.price_fen),
            Cell(unbroken(invoice.number)),
            Cell(formats.day(invoice.due_at, reader.language)),
            Cell(
                reader.name(codes.INVOICE_STATES, "credited" if line.credited_by else invoice.state),
                bad=invoice.state == "overdue" and not line.credited_by,
            ),
        ]
        for line, invoice in found
    ]
    return Section(reader.say("billed_sales"), tables=[table(reader, heads, rows, "nothing_billed")])


def _issued(reader: Reader, desk: Desk, places: Places) -> Section:
    found = overview.issued_invoices(reader.db, desk.actor, cursor=places.of("invoices"), limit=INVOICES)
    reader.meet([one.buyer_id for one in found.rows])
    return invoices_section(reader, found.rows, places.leaves("invoices", found.next), sold=True)


def _balances(reader: Reader, desk: Desk) -> Section:
    rows = []
    for one in ledger.visible_balances(reader.db, desk.actor):
        account, fen = chart().account(one.account), one.amount_minor
        side = "debit" if fen >= 0 else "credit"
        named = account.name if reader.language == "en" else account.name_zh
        rows.append([Cell(named), money(reader, abs(fen)), Cell(reader.say(side))])
    return Section(reader.say("own_books"), tables=[table(reader, "account balance# side", rows, "no_postings")])


def _months(reader: Reader) -> Section:
    found = sorted(ledger.periods(reader.db), key=lambda one: one.period, reverse=True)[:MONTHS]
    rows = [
        [
            Cell(one.period),
            Cell(reader.name(desk_codes.PERIOD_STATES, one.state)),
            Cell(formats.minute(one.at, reader.language), f"/entries/{one.entry_id}"),
        ]
        for one in found
    ]
    closes = table(reader, "month state since", rows, "no_closes")
    return Section(reader.say("closes"), note=reader.say("closes_note"), tables=[closes])
