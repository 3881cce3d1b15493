"""Which pages a participant's desk has."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace.console.desks import codes
from marketplace.console.desks.gate import PAGES, Desk
from marketplace.console.desks.sections import Cell, Page, Section, Table
from marketplace.console.reader import Reader
from marketplace.participants.models import Participant


def neighbours(reader: Reader, desk: Desk) -> list[Cell]:
    """Links to the pages of a desk."""
    return [*_pages(reader, desk.owner), Cell(reader.say("tariffs"), "/tariffs")]


def desks_page(reader: Reader, owners: Sequence[Participant]) -> Page:
    """Every desk that the reader may see."""
    rows = [
        [
            Cell(reader.legal_name(one), note=" · ".join(reader.name(codes.ROLES, role) for role in one.roles)),
            *(_pages(reader, one, padded=True)),
        ]
        for one in owners
    ]
    heads = [(reader.say("participant"), False), *((reader.say(word), False) for word, _ in PAGES.values())]
    return Page(
        title=reader.say("desks"),
        sub=Cell(reader.say("desks_lead")),
        neighbours=[Cell(reader.say("tariffs"), "/tariffs")],
        headline=(),
        sections=[Section(reader.say("participants"), tables=[Table(heads, rows, reader.say("no_desks"))])],
    )


def _pages(reader: Reader, owner: Participant, *, padded: bool = False) -> list[Cell]:
    """A link for every page; padded: an empty field for one that the owner's roles do not have."""
    found = []
    for name, (word, roles) in PAGES.items():
        if roles & set(owner.roles):
            found.append(Cell(reader.say(word), f"/participants/{owner.id}/{name}"))
        elif padded:
            found.append(Cell("–"))
    return found
