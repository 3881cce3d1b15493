"""The telling of a year: acts, sales and the months' routine in the order of the calendar."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from marketplace.kernel.errors import Conflict
from marketplace.settings import Settings
from seeds import market
from seeds.footprint import Footprint
from seeds.stages import Progress as Watch
from seeds.world import open_world
from seeds.year import figures, making, selling, settling, using
from seeds.year.almanac import open_almanac
from seeds.year.plot import BEGAN, Act, Plot
from seeds.year.state import Year
from seeds.year.tariffs import own_tariffs, publish_correction

Deed = Callable[[], object]
DEEDS: dict[str, Callable[..., None]] = {
    "settle_in": settling.settle_in,
    "look_for": settling.look_for,
    "assess": making.assess,
    "apply": making.apply,
    "accept": making.accept,
    "announce": making.announce,
    "list": making.put_on_list,
    "capitalise": making.capitalise,
    "stop": making.stop,
    "oversell": selling.oversell,
    "amend": selling.amend,
    "renew": selling.renew,
    "declare": settling.declare,
    "dispute": settling.dispute,
    "credit_use": settling.credit_use,
    "cancel_stages": settling.cancel_stages,
}


class ToldBefore(Conflict):
    """The folder holds something already."""


def tell_year(data: Path, plot: Plot, *, scans: Path, journals: Path, watch: Watch = lambda *_: None) -> dict[str, Any]:
    """Tell a year on an empty data folder; returns what `figures.of` finds at its end, and the `run`.

    scans: where the small archives lie, made once; journals: folder for the books' exports; watch: told how many of all
    things have happened.  The parties keep their keys beside the data folder, in `<data>-parties`.
    Raises ToldBefore, WorkGivenUp.
    """
    keys = data.parent / f"{data.name}-parties"
    for folder in (data, keys):
        if folder.exists() and any(folder.iterdir()):
            told, action = str(folder), "delete it, or name another data folder"
            raise ToldBefore("a year is told on an empty folder", got=told, action=action)
    footprint = Footprint().start()
    settings = Settings(data_folder=data, log_file=data / "year.log", parse_workers=2)
    with own_tariffs(data / "tariffs"), open_almanac(settings, BEGAN) as almanac:
        market.load(almanac.runtime)
        with open_world(almanac.runtime, keys, almanac.clock, began=BEGAN, cast=plot.cast) as world:
            year = Year(almanac, world, plot, random.Random(plot.seed))
            calendar = sorted(_calendar(year, scans), key=lambda one: one[0])
            for number, (at, deed) in enumerate(calendar):
                watch(number, len(calendar))
                almanac.to(at)
                deed()
            found = figures.of(year, journals)
    return found | {"run": footprint.stop()}


def _calendar(year: Year, scans: Path) -> Iterator[tuple[datetime, Deed]]:
    """Everything that will happen, with its day."""
    for act in year.plot.acts:
        yield year.day(act.on), partial(_act, year, scans, act)
    for sale in year.plot.sales:
        yield year.day(sale.on), partial(selling.sell, year, sale)
    for month in range(1, year.plot.months + 1):
        for part, day in enumerate((8, 16, 26)):
            yield year.day(_on(month, day)), partial(using.use_all, year, part)
        yield year.day(_on(month, 27)), partial(using.prove_all, year)
        yield year.day(_on(month + 1, 3)), partial(settling.close_month, year, f"{year.now:%Y}-{month:02d}")
        yield year.day(_on(month + 1, 20)), partial(_pay, year)
        yield year.day(_on(month + 1, 24)), partial(_confirm, year)


def _act(year: Year, scans: Path, act: Act) -> None:
    match act.what:
        case "govern":
            making.govern(year, scans, **act.about)
        case "correct_tariff":
            publish_correction(**act.about)
            year.note("tariff", **act.about)
        case _:
            DEEDS[act.what](year, **act.about)


def _pay(year: Year) -> None:
    """Who is late pays with the others once its contracts were suspended."""
    late = () if year.now >= year.day(year.plot.pays_from) else (year.plot.late,)
    settling.pay_due(year, but=late)
    settling.order_payments(year)
    settling.order_stages(year)


def _confirm(year: Year) -> None:
    """The banks tell what they have carried out."""
    for party in ("exchange", "hospital"):
        settling.confirm_orders(year, party=party)


def _on(month: int, day: int) -> str:
    """`04-10`; the thirteenth month is the first of the year after."""
    return f"{(month - 1) % 12 + 1:02d}-{day:02d}" + ("+1" if month > 12 else "")
