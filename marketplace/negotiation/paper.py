"""Setting paragraphs on pages: a PDF with Chinese and English text, the same bytes for the same input.

The fonts are names that every PDF reader knows (the standard Latin ones and Adobe's STSong-Light); none is embedded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from io import BytesIO
from itertools import groupby
from typing import Any

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

WIDTH, HEIGHT = 595.28, 841.89  # A4 in points
MARGIN, FOOT = 62.0, 34.0
HAN = "STSong-Light"

_OPENING, _CLOSING = "（《〈「『【〔“‘", "）》〉」』】〕”’，。；：、！？…%‰"
_IDEOGRAPHS = r"\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
_HAN = re.compile(f"[{_IDEOGRAPHS}]")
_LUMP = re.compile(r"\S+\s*|\s+")
# What stays on one line: a Latin word or one character, with the brackets before and the stops behind it.
_PIECE = re.compile(
    f"[{_OPENING}]*(?:[^\\s{_IDEOGRAPHS}{_OPENING}{_CLOSING}]+|[^{_OPENING}{_CLOSING}]|)[{_CLOSING}]*\\s*"
)


class Style(Enum):
    """How a paragraph is set.  value: Latin font, size, leading, space before, all in points."""

    TITLE = ("Times-Bold", 17.0, 24.0, 4.0)
    HEADING = ("Times-Bold", 11.5, 16.0, 12.0)
    BODY = ("Times-Roman", 10.5, 15.5, 3.0)
    FACT = ("Times-Roman", 9.5, 13.5, 1.5)
    FOOT = ("Times-Roman", 8.0, 10.0, 0.0)


@dataclass(frozen=True)
class Paragraph:
    """Text in one style.  han: all of it in the Chinese font, as Chinese sentences with their digits and quotes are."""

    style: Style
    text: str
    han: bool


@dataclass(frozen=True)
class _Line:
    style: Style
    text: str
    han: bool
    y: float


def set_pages(paragraphs: Sequence[Paragraph], *, title: str, subject: str, foot: str, dated: datetime) -> bytes:
    """The PDF file.  foot: stands on every page before the page's number; dated: the only date in the file.

    Nothing is compressed, so that the bytes do not depend on a machine's zlib.
    """
    pages = _paginate(paragraphs)
    file = BytesIO()
    canvas = Canvas(file, pagesize=(WIDTH, HEIGHT), invariant=1, pageCompression=0, initialFontName=_fonts())
    canvas.setTitle(title)
    canvas.setSubject(subject)
    canvas.setAuthor("")
    canvas.setCreator("")
    canvas.setDateFormatter(lambda *_: dated.strftime("D:%Y%m%d%H%M%SZ"))
    for number, page in enumerate(pages, start=1):
        for line in page:
            _draw(canvas, line)
        _draw(canvas, _Line(Style.FOOT, f"{foot}  {number}/{len(pages)}", han=False, y=FOOT))
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def lines_of(paragraph: Paragraph, width: float) -> list[str]:
    """A paragraph's lines of at most `width` points, without the spaces at their ends; joined they are its text.

    No line begins with a closing stop or ends with an opening bracket; a word wider than a line is cut.
    """
    lines: list[str] = []
    here = ""
    for piece in _pieces(paragraph, width):
        if here and _width(paragraph, here + piece) > width:
            lines.append(here)
            here = ""
        here += piece
    return [*lines, here] if here else lines


def _paginate(paragraphs: Sequence[Paragraph]) -> list[list[_Line]]:
    pages: list[list[_Line]] = [[]]
    y = HEIGHT - MARGIN
    for paragraph in paragraphs:
        _, _, leading, before = paragraph.style.value
        lines = lines_of(paragraph, WIDTH - 2 * MARGIN)
        keep = 4 if paragraph.style is Style.HEADING else 1  # a heading stays with what it is the head of
        y -= before
        for number, text in enumerate(lines):
            if y - leading * (keep if number == 0 else 1) < MARGIN:
                pages.append([])
                y = HEIGHT - MARGIN
            y -= leading
            pages[-1].append(_Line(paragraph.style, text, paragraph.han, y))
    return pages


def _draw(canvas: Any, line: _Line) -> None:
    size = line.style.value[1]
    text = canvas.beginText(MARGIN, line.y)
    for font, run in _runs(line.style, line.text, han=line.han):
        text.setFont(font, size)
        text.textOut(run)
    canvas.drawText(text)


def _pieces(paragraph: Paragraph, width: float) -> Iterator[str]:
    for lump in _LUMP.findall(paragraph.text):
        for piece in _PIECE.findall(lump) if _HAN.search(lump) else [lump]:
            rest = piece
            while _width(paragraph, rest) > width:
                end = _longest(paragraph, rest, width)
                yield rest[:end]
                rest = rest[end:]
            yield rest


def _longest(paragraph: Paragraph, piece: str, width: float) -> int:
    """How much of a piece fills a line; what is left begins with no stop, unless there are only stops to cut at."""
    fits = next(end for end in range(len(piece), 0, -1) if end == 1 or _width(paragraph, piece[:end]) <= width)
    return next((end for end in range(fits, 0, -1) if not piece.startswith(tuple(_CLOSING), end)), fits)


def _width(paragraph: Paragraph, text: str) -> float:
    """In points, without the spaces at the end."""
    widths = _widths(paragraph.style, han=paragraph.han)
    return sum(map(widths.__getitem__, text.rstrip())) * paragraph.style.value[1] / 1000


class _Widths(dict[str, int]):
    """Widths of characters in thousandths of the font's size, each asked of the fonts once: fonts have no kerning."""

    def __init__(self, style: Style, *, han: bool) -> None:
        super().__init__()
        self._style, self._han = style, han

    def __missing__(self, character: str) -> int:
        ((font, run),) = _runs(self._style, character, han=self._han)
        self[character] = round(pdfmetrics.stringWidth(run, font, 1000))
        return self[character]


@cache
def _widths(style: Style, *, han: bool) -> _Widths:
    return _Widths(style, han=han)


def _runs(style: Style, text: str, *, han: bool) -> Iterator[tuple[str, str]]:
    """Font and text of each stretch: what the Latin fonts lack is set in the Chinese one."""
    for latin, run in groupby(text, lambda one: not han and _is_latin(one)):
        yield (style.value[0] if latin else _fonts()), "".join(run)


def _is_latin(character: str) -> bool:
    return bool(character.encode("cp1252", "ignore"))


@cache
def _fonts() -> str:
    font = UnicodeCIDFont(HAN)
    font.encodingName = "UniGB-UTF16-H"  # the library's own choice, UCS2, has no characters beyond the basic plane
    pdfmetrics.registerFont(font)
    return HAN
