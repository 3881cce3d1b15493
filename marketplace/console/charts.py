"""Charts as SVG made on the server: titles and roles in the markup, classes instead of inline styles (strict CSP)."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH = 760
NAME_WIDTH = 20
NAME_LINES = 3


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


def bars(title: str, rows: Sequence[Bar]) -> Markup:
    """One bar a row, the longest filling the width."""
    most = max([row.length for row in rows] + [1])
    parts = [_open(title, 34 * len(rows) + 4)]
    for place, row in enumerate(rows):
        y = 34 * place + 4
        width = 470 * row.length / most
        parts.append(Markup('<text class="label" x="150" y="{}">{}</text>').format(y + 17, row.label))
        parts.append(Markup('<rect class="bar" x="162" y="{}" width="{:.1f}" height="24" rx="3"/>').format(y, width))
        parts.append(Markup('<text x="{:.1f}" y="{}">{}</text>').format(170 + width, y + 17, row.words))
    return Markup("").join([*parts, Markup("</svg>")])


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
