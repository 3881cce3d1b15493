"""Charts as SVG made on the server: titles and roles in the markup, classes instead of inline styles (strict CSP)."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH = 760
NAME_WIDTH = 20
NAME_LINES = 3
# Rows of a bar chart: words above, the bar below, so that both are read on a narrow screen too.
ROWS_WIDTH = 440
ROW = 46
LABEL_WIDTH = 38


@dataclass(frozen=True)
class Stop:
    """One stage on the passport picture.  when and who are empty while it is not reached."""

    name: str
    reached: bool
    when: str = ""
    who: str = ""


@dataclass(frozen=True)
class Bar:
    """One row of a bar chart: its label, its length in any unit, the words at its end."""

    label: str
    length: int
    words: str


@dataclass(frozen=True)
class Span:
    """One row of a chart around zero: its label, from where to where it reaches, the words at its end."""

    label: str
    start: int
    end: int
    words: str


def passport(title: str, stops: Sequence[Stop], missing: str) -> Markup:
    """The stages as one line of stops, left to right."""
    step, top = WIDTH / len(stops), 44
    names = [_wrapped(stop.who) for stop in stops]
    parts = [_open(title, 96 + 17 * max(len(lines) for lines in names))]
    parts.append(_line("rail", step / 2, WIDTH - step / 2, top))
    reached = sum(stop.reached for stop in stops)
    if reached > 1:
        parts.append(_line("rail done", step / 2, step * (reached - 0.5), top))
    for place, (stop, lines) in enumerate(zip(stops, names, strict=True)):
        x = step * (place + 0.5)
        kind = "done" if stop.reached else "open"
        parts.append(Markup('<circle class="stop {}" cx="{:.1f}" cy="{}" r="13"/>').format(kind, x, top))
        parts.append(_text(x, top + 5, f"number {kind}", str(place + 1)))
        parts.append(_text(x, 18, "strong", stop.name))
        parts.append(_text(x, 80, "small", stop.when or missing))
        parts += [_text(x, 98 + 17 * number, "small", line) for number, line in enumerate(lines)]
    return Markup("").join([*parts, Markup("</svg>")])


def bars(title: str, rows: Sequence[Bar], *, full: int = 1) -> Markup:
    """One bar a row below its words, the longest filling the width; full: a length that fills it in any case."""
    most = max([row.length for row in rows] + [full])
    parts = [_open_rows(title, len(rows))]
    for place, row in enumerate(rows):
        parts += _words(place, row.label, row.words)
        parts.append(_bar("bar", 0, ROWS_WIDTH * row.length / most, place))
    return Markup("").join([*parts, Markup("</svg>")])


def spans(title: str, rows: Sequence[Span]) -> Markup:
    """One bar a row on one axis that holds zero; what lies below zero is drawn as a loss."""
    low, high = (pick([0, *(one for row in rows for one in (row.start, row.end))]) for pick in (min, max))
    scale = ROWS_WIDTH / max(high - low, 1)
    parts = [_open_rows(title, len(rows))]
    for place, row in enumerate(rows):
        first, last = sorted((row.start, row.end))
        parts += _words(place, row.label, row.words)
        for kind, left, right in (("bar loss", first, min(last, 0)), ("bar", max(first, 0), last)):
            if right > left:
                parts.append(_bar(kind, (left - low) * scale, (right - left) * scale, place))
        axis = Markup('<line class="zero" x1="{0:.1f}" y1="{1}" x2="{0:.1f}" y2="{2}"/>')
        parts.append(axis.format(-low * scale, place * ROW + 22, place * ROW + 40))
    return Markup("").join([*parts, Markup("</svg>")])


def _open_rows(title: str, rows: int) -> Markup:
    words = Markup('<svg class="rows" role="img" aria-label="{0}" viewBox="-1 0 {1} {2}"><title>{0}</title>')
    return words.format(title, ROWS_WIDTH + 2, ROW * rows)


def _words(place: int, label: str, words: str) -> list[Markup]:
    y = place * ROW + 16
    label = shortened(label, LABEL_WIDTH)
    return [
        Markup('<text x="0" y="{}">{}</text>').format(y, label),
        Markup('<text class="end" x="{}" y="{}">{}</text>').format(ROWS_WIDTH, y, words),
    ]


def _bar(kind: str, x: float, width: float, place: int) -> Markup:
    drawn = Markup('<rect class="{}" x="{:.1f}" y="{}" width="{:.1f}" height="14" rx="2"/>')
    return drawn.format(kind, x, place * ROW + 24, width)


def shortened(words: str, columns: int) -> str:
    """Words that fit into so many columns; a character of Chinese takes two."""
    while _columns(words) > columns:
        words = words.removesuffix("…")[:-1].rstrip() + "…"
    return words


def _open(title: str, height: int) -> Markup:
    words = Markup('<svg role="img" aria-label="{0}" viewBox="0 0 {1} {2}"><title>{0}</title>')
    return words.format(title, WIDTH, height)


def _line(kind: str, x1: float, x2: float, y: float) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{}" x2="{:.1f}" y2="{}"/>').format(kind, x1, y, x2, y)


def _text(x: float, y: float, kind: str, words: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>').format(kind, x, y, words)


def _wrapped(words: str) -> list[str]:
    """Lines that fit under a stop: broken at spaces, Chinese anywhere; a character of Chinese counts as two."""
    lines = [""]
    for piece in _pieces(words):
        if lines[-1] and _columns(lines[-1] + piece.rstrip()) > NAME_WIDTH:
            lines.append("")
        lines[-1] += piece
    if len(lines) > NAME_LINES:
        lines = [*lines[: NAME_LINES - 1], lines[NAME_LINES - 1].rstrip() + "…"]
    return [line.strip() for line in lines]


def _pieces(words: str) -> list[str]:
    pieces = [""]
    for character in words:
        if _columns(character) > 1:
            pieces += [character, ""]
        elif character == " ":
            pieces[-1] += character
            pieces.append("")
        else:
            pieces[-1] += character
    return [piece for piece in pieces if piece]


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
