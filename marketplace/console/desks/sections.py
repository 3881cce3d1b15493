"""What a desk's page is made of: sections of facts, tables, figures and questions, with words ready to print."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from marketplace.console import charts, formats
from marketplace.console.reader import Reader


@dataclass(frozen=True)
class Cell:
    """One field: what it says, where it leads (an address of this service), what stands small below it."""

    words: str | Markup
    link: str = ""
    note: str | Markup = ""
    bad: bool = False


@dataclass(frozen=True)
class Table:
    """heads: (words, whether the column holds numbers); every row has as many cells; the first names the row."""

    heads: Sequence[tuple[str, bool]]
    rows: Sequence[Sequence[Cell]]
    empty: str


@dataclass(frozen=True)
class Field:
    """A number that the reader may choose."""

    name: str
    label: str
    value: int
    low: int
    high: int


@dataclass(frozen=True)
class Figure:
    """A drawing and the sentence below it."""

    drawing: Markup
    words: str = ""


@dataclass(frozen=True)
class Leaves:
    """Addresses of the first and of the next page of a list, empty where that is this one, or there is none.

    name: of the list, where the page is opened.
    """

    name: str
    first: str = ""
    following: str = ""


@dataclass(frozen=True)
class Section:
    """One part of a page.

    fields: asked for with a GET of the same page, answered by the rest of the section; leaves: where its table is one
    page of a list.
    """

    title: str
    note: str = ""
    facts: Sequence[tuple[str, Cell]] = ()
    fields: Sequence[Field] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    leaves: Leaves | None = None


@dataclass(frozen=True)
class Page:
    """A whole page.  sub: below the title; headline: the few large figures on top; note: below them.

    neighbours: links to the pages beside it.
    """

    title: str
    sub: Cell
    headline: Sequence[tuple[str, Cell]]
    sections: Sequence[Section]
    note: str = ""
    neighbours: Sequence[Cell] = ()


def as_of(reader: Reader) -> Markup:
    """The moment of which a page's figures are."""
    return escape(reader.say("as_of")).format(formats.minute(reader.now, reader.language))


def money(reader: Reader, fen: int | None, *, bad: bool = False) -> Cell:
    """An amount, or a dash for none.  bad: shown as a trouble where it is more than nothing."""
    return Cell("–") if fen is None else Cell(formats.money(fen, reader.language), bad=bad and fen > 0)


def table(reader: Reader, heads: str, rows: Sequence[Sequence[Cell]], empty: str = "") -> Table:
    """A table.  heads: words of the glossary, a `#` behind those of columns of numbers; empty: said without rows."""
    named = [(reader.say(one.removesuffix("#")), one.endswith("#")) for one in heads.split()]
    return Table(named, rows, reader.say(empty) if empty else "")


def amounts(reader: Reader, word: str, parts: Iterable[tuple[str, int]]) -> Figure:
    """Amounts by name as bars.  word: of the glossary, the sentence below; an amount below zero has no bar."""
    rows = [charts.Bar(name, max(fen, 0), formats.money(fen, reader.language)) for name, fen in parts]
    return Figure(charts.bars(reader.say(word), rows), reader.say(word))


def unbroken(words: str) -> Markup:
    """Words that stay on one line."""
    return Markup('<span class="nowrap">{}</span>').format(words)
