"""Charts as SVG made on the server: titles and roles in the markup, classes instead of inline styles (strict CSP)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH = 720


@dataclass(frozen=True)
class Stop:
    """One stage on the passport picture.  when and who are empty while it is not reached."""

    name: str
    reached: bool
    when: str = ""
    who: str = ""


def passport(title: str, stops: Sequence[Stop], missing: str) -> Markup:
    """The five stages as one line of stops, left to right."""
    step, top = WIDTH / len(stops), 44
    parts = [_open(title, 118)]
    first, last = step / 2, WIDTH - step / 2
    parts.append(Markup('<line class="rail" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(first, top, last, top))
    reached = sum(stop.reached for stop in stops)
    if reached > 1:
        end = step / 2 + step * (reached - 1)
        parts.append(Markup('<line class="rail done" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(first, top, end, top))
    for place, stop in enumerate(stops):
        x = step / 2 + step * place
        kind = "done" if stop.reached else "open"
        parts.append(Markup('<circle class="stop {}" cx="{}" cy="{}" r="13"/>').format(kind, x, top))
        parts.append(_text(x, top + 5, "number", str(place + 1)))
        parts.append(_text(x, 18, "strong", stop.name))
        parts.append(_text(x, 80, "small", stop.when or missing))
        parts.append(_text(x, 98, "small", stop.who[:26]))
    return Markup("").join([*parts, Markup("</svg>")])


def break_even(title: str, sales: Mapping[int, int | None], unit: str, never: str) -> Markup:
    """Bars: sales needed at each price.  sales: price in fen -> sales, None = never."""
    rows = list(sales.items())
    most = max([count for _, count in rows if count] or [1])
    parts = [_open(title, 34 * len(rows) + 8)]
    for place, (price, count) in enumerate(rows):
        y = 34 * place + 6
        parts.append(Markup('<text class="label" x="130" y="{}">{}</text>').format(y + 17, f"¥{price // 100:,}"))
        width = 470 * (count or 0) / most
        parts.append(Markup('<rect class="bar" x="142" y="{}" width="{:.1f}" height="24" rx="3"/>').format(y, width))
        words = f"{count} {unit}" if count else never
        parts.append(Markup('<text class="value" x="{:.1f}" y="{}">{}</text>').format(150 + width, y + 17, words))
    return Markup("").join([*parts, Markup("</svg>")])


def _open(title: str, height: int) -> Markup:
    return Markup('<svg role="img" aria-label="{0}" viewBox="0 0 {1} {2}"><title>{0}</title>').format(
        escape(title), WIDTH, height
    )


def _text(x: float, y: float, kind: str, words: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>').format(kind, x, y, words)
