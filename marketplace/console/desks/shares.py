"""What each contributor gets of the sales: departments, annotators, operator, fund."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace.console import codes
from marketplace.console.desks.gate import Desk
from marketplace.console.desks.links import neighbours
from marketplace.console.desks.places import Places
from marketplace.console.desks.sections import Cell, Leaves, Page, Section, amounts, money, table
from marketplace.console.reader import Reader
from marketplace.settlement import overview
from marketplace.settlement.overview import Divided, Summed

CONTRIBUTORS = 100


def page(reader: Reader, desk: Desk, cursor: str | None = None) -> Page:
    """The page of everybody who gets a share of the owner's sales, and of what the owner gets of others'.

    cursor: behind which its table begins.  Raises BadPlace.
    """
    divided = overview.divided(reader.db, desk.actor)
    found = overview.shares_summed(reader.db, desk.actor, limit=CONTRIBUTORS + 1, after=cursor)
    found, more = found[:CONTRIBUTORS], found[CONTRIBUTORS:]
    places = Places(f"/participants/{desk.id}/shares", {"cursor": cursor})
    leaves = places.leaves("cursor", found[-1].cursor if more else None)
    reader.meet([one.owner.partition(":")[0] for one in found], [one.asset for one in found])
    return Page(
        title=reader.say("shares_title"),
        sub=Cell(reader.legal_name(desk.owner)),
        neighbours=neighbours(reader, desk),
        headline=own_share(reader, divided),
        sections=[waterfall(reader, divided), *_by_department(reader, desk), _by_owner(reader, desk, found, leaves)],
    )


def own_share(reader: Reader, divided: Divided) -> list[tuple[str, Cell]]:
    """What the desk's owner gets itself, what its departments and other parts get, and how much of both is ordered."""
    return [
        (reader.say("own_share"), money(reader, divided.own)),
        *([(reader.say("share_of_parts"), money(reader, divided.parts))] if divided.parts else []),
        (reader.say("ordered"), money(reader, divided.ordered)),
    ]


def waterfall(reader: Reader, divided: Divided) -> Section:
    """Into what all paid sales were divided."""
    sums = divided.by_role
    bars = [(reader.name(codes.SHARES, role), sums[role]) for role in codes.SHARES if sums.get(role)]
    if not bars:
        return Section(reader.say("divided_into"), note=reader.say("nothing_divided"))
    return Section(reader.say("divided_into"), figures=[amounts(reader, "divided_note", bars)])


def _by_department(reader: Reader, desk: Desk) -> list[Section]:
    """What each department and its annotators get; nothing where no scheme gives them a share."""
    rows = [
        [
            Cell(one.department or reader.say("no_department")),
            Cell(reader.name(codes.SHARES, one.role)),
            Cell(f"{one.lines:,}"),
            money(reader, one.amount_fen),
            money(reader, one.ordered_fen),
            money(reader, one.amount_fen - one.ordered_fen),
        ]
        for one in overview.of_departments(reader.db, desk.actor)
    ]
    heads = "department share lines_paid# amount# ordered# waiting#"
    return [Section(reader.say("by_department"), tables=[table(reader, heads, rows)])] if rows else []


def _by_owner(reader: Reader, desk: Desk, shares: Sequence[Summed], leaves: Leaves) -> Section:
    heads = "contributor share data_asset lines_paid# amount# ordered# waiting#"
    rows = [
        [
            Cell(_owner(reader, desk, one.owner)),
            Cell(reader.name(codes.SHARES, one.role)),
            Cell(reader.name_of_asset(one.asset)),
            Cell(f"{one.lines:,}"),
            money(reader, one.amount_fen),
            money(reader, one.ordered_fen),
            money(reader, one.waiting_fen),
        ]
        for one in shares
    ]
    return Section(reader.say("who_gets_what"), tables=[table(reader, heads, rows, "nothing_divided")], leaves=leaves)


def _owner(reader: Reader, desk: Desk, owner: str) -> str:
    """A participant's name; a part of one is named by its role, with the participant where that is another one."""
    participant, _, part = owner.partition(":")
    if not part:
        return reader.name_of(participant)
    named = reader.name(codes.SHARES, part)
    return named if participant == desk.id else f"{reader.name_of(participant)}: {named}"
