"""A participant's negotiations, the latest first, with whose move it is."""

from __future__ import annotations

from marketplace.console import formats, policies
from marketplace.console.desks import codes as desk_codes
from marketplace.console.desks.gate import Desk
from marketplace.console.desks.places import Places
from marketplace.console.desks.sections import Cell, Section, table
from marketplace.console.reader import Reader
from marketplace.exchange import queries as exchange
from marketplace.negotiation import queries
from marketplace.negotiation.models import AccessRequest
from marketplace.negotiation.rules import Side, State, whose_move

MOST = 20


def section(reader: Reader, desk: Desk, side: Side, places: Places) -> Section:
    """The negotiations of the desk's owner on one side, a page of them.  Raises NotOnThisList."""
    found = queries.requests_as(reader.db, desk.actor, side, cursor=places.of("negotiations"), limit=MOST)
    asked = found.rows
    assets = exchange.assets_of(reader.db, {one.listing_id for one in asked})
    reader.meet({_other(one, side) for one in asked}, assets.values())
    other = "provider" if side == Side.BUYER else "buyer"
    heads = f"data_asset {other} purpose state next_move until_when"
    rows = [_row(reader, one, side, assets.get(one.listing_id)) for one in asked]
    return Section(
        title=reader.say("negotiations"),
        tables=[table(reader, heads, rows, "no_negotiations")],
        leaves=places.leaves("negotiations", found.next),
    )


def _other(request: AccessRequest, side: Side) -> str:
    return request.provider_id if side == Side.BUYER else request.buyer_id


def _row(reader: Reader, request: AccessRequest, side: Side, asset: str | None) -> list[Cell]:
    mover = whose_move(State(request.state), request.reason)
    word = "nobody_moves" if mover is None else "your_move" if mover == side else f"move_of_{mover}"
    return [
        Cell(reader.name_of_asset(asset)),
        Cell(reader.name_of(_other(request, side))),
        Cell(policies.purpose(request.purpose, reader.language)),
        Cell(reader.name(desk_codes.REQUEST_STATES, request.state)),
        Cell(reader.say(word), bad=mover == side),
        Cell(formats.day(request.expires_at, reader.language) if mover else "–"),
    ]
