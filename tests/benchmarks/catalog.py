"""A page of the catalogue at 1,000, 10,000 and 100,000 listings: its time, its statements, its memory.

Beside it, what it takes to know that a reader holds the page, and on the largest catalogue a long page as it is written
piece by piece, whose memory must not grow with its length.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, event
from sqlmodel import func, select

from marketplace.exchange import revision
from marketplace.exchange.catalogue import CataloguePage, Wanted, parts, visible
from marketplace.exchange.catalogue_routes import page_texts
from marketplace.exchange.models import CatalogueLine
from marketplace.exchange.searching import Place, search
from marketplace.plumbing.pieces import in_pieces
from tests.benchmarks.figures import Goal, Result, main
from tests.benchmarks.listings import fill
from tests.house import House, open_house

SIZES = (1_000, 10_000, 100_000)
ROUNDS = 40
LIMIT = 20
LONG = (100, 1_000, 10_000)
ISSUE = "issue 5"
# Every page is full at the smallest size, so that all sizes do the same work.
PAGES: dict[str, Wanted] = {
    "latest": Wanted(),
    "middle": Wanted(),
    "modality": Wanted(modality="MR"),
    "purpose": Wanted(purpose="model_training"),
    "provider": Wanted(provider="prt_hospital_3"),
    "chinese": Wanted(text="肺癌"),
    "english": Wanted(text="lung cancer screening"),
    "several": Wanted(text="华东 影像 CT"),
    "filtered": Wanted(text="胸部CT", modality="CT", purpose="model_training"),
}
WORDS = {"page_p50": "median of the medians of the kinds of page", "worst_p50": "median of the slowest kind of page"}


def measure(options: argparse.Namespace) -> Result:
    """Fill a catalogue of each size and read the same kinds of page from all in turn."""
    sizes = SIZES[:-1] if options.quick else SIZES
    result = Result("catalog", "", {})
    with ExitStack() as open_parts, tempfile.TemporaryDirectory(prefix="bench-catalog-") as folder:
        markets = {
            size: _market(open_parts.enter_context(open_house(Path(folder) / str(size))), size) for size in sizes
        }
        _measure(markets, result)
    small, large = sizes[0], sizes[-1]
    result.how = (
        f"{', '.join(f'{size:,}' for size in sizes)} listings on SQLite, each its rows as the verbs leave them, one in "
        f"twenty hidden; pages of {LIMIT}, {len(PAGES)} kinds ({', '.join(PAGES)}), {ROUNDS} rounds, sizes in turn; "
        + "; ".join(f"{name}: {words}" for name, words in WORDS.items())
        + f"; held: an ETag; long: pages of {', '.join(f'{one:,}' for one in LONG)} at {large:,} listings, in pieces; "
        f"floor: {small:,} listings, for the memory of long pages one of {LONG[1]:,}"
    )
    result.goals |= {
        f"ratio.page_p50_ms_{large}": Goal(ISSUE, at_most=1.5),
        f"statements_{large}": Goal(ISSUE, at_most=3),
        f"memory_kib_{large}": Goal(ISSUE, at_most=4096),
        f"held_statements_{large}": Goal(ISSUE, at_most=1),
        f"ratio.long_memory_kib_{LONG[-1]}": Goal(ISSUE, at_most=1.25),
    }
    return result


@dataclass(frozen=True)
class _Market:
    """A filled catalogue.  middle: the cursor that begins halfway through it."""

    house: House
    middle: str


def _market(house: House, size: int) -> _Market:
    fill(house, size)
    with house.runtime.database.reading() as db:
        found, last = search(db, Wanted(), None), db.exec(select(func.max(CatalogueLine.number))).one()
    assert found is not None
    assert last is not None
    return _Market(house, found.cursor(Place(0, last // 2)))


def _measure(markets: dict[int, _Market], result: Result) -> None:
    times: dict[int, dict[str, list[float]]] = {size: {name: [] for name in PAGES} for size in markets}
    for turn in range(ROUNDS + 1):
        for name in PAGES:
            for size, market in markets.items():
                took = _timed(market, name)
                if turn:  # the first round fills the caches of statements and pages
                    times[size][name].append(took)
    _report(markets, times, result)
    _held(markets, result)
    _long(markets[max(markets)], result)


def _held(markets: dict[int, _Market], result: Result) -> None:
    """What it takes to know, before anything of a page is read, whether the reader holds it."""
    revision.release()  # read once in a process
    for size, market in markets.items():
        took = sorted(_etag_seconds(market) for _ in range(ROUNDS))
        result.figures[f"held_p50_ms_{size}"] = round(took[ROUNDS // 2] * 1000, 3)
        with _noted(market.house) as statements:
            _etag_seconds(market)
        result.figures[f"held_statements_{size}"] = sum(one.startswith("SELECT") for one in statements)


def _etag_seconds(market: _Market) -> float:
    start = time.perf_counter()
    with market.house.runtime.database.reading() as db:
        revision.etag(db, market.house.clock.now(), "page", *revision.asked(Wanted()), None, LIMIT)
    return time.perf_counter() - start


def _long(market: _Market, result: Result) -> None:
    """Long pages as they are written, each read once for its time and once more for its memory."""
    for limit in LONG:
        start = time.process_time()
        first, size = _write(market, limit)
        result.figures[f"long_cpu_ms_{limit}"] = round((time.process_time() - start) * 1000)
        result.figures[f"long_first_piece_cpu_ms_{limit}"] = round(first * 1000, 1)
        result.figures[f"long_kib_{limit}"] = round(size / 1024)
        tracemalloc.start()
        try:
            _write(market, limit)
            result.figures[f"long_memory_kib_{limit}"] = round(tracemalloc.get_traced_memory()[1] / 1024)
        finally:
            tracemalloc.stop()
    result.floor["long_memory_kib"] = result.figures[f"long_memory_kib_{LONG[1]}"]
    grown = result.figures[f"long_memory_kib_{LONG[-1]}"] / result.floor["long_memory_kib"]
    result.ratio[f"long_memory_kib_{LONG[-1]}"] = round(grown, 2)


def _write(market: _Market, limit: int) -> tuple[float, int]:
    """(processor seconds to the first piece of a page of the latest, bytes of all); no piece is kept."""
    start, first, size = time.process_time(), 0.0, 0
    with market.house.runtime.database.reading() as db:
        for piece in in_pieces(page_texts(parts(db, market.house.clock.now(), Wanted(), limit=limit))):
            first = first or time.process_time() - start
            size += len(piece)
    return first, size


def _report(markets: dict[int, _Market], times: dict[int, dict[str, list[float]]], result: Result) -> None:
    for size, market in markets.items():
        medians = {name: statistics.median(found) * 1000 for name, found in times[size].items()}
        result.figures[f"page_p50_ms_{size}"] = round(statistics.median(medians.values()), 3)
        result.figures[f"worst_p50_ms_{size}"] = round(max(medians.values()), 3)
        result.figures |= {f"{name}_ms_{size}": round(took, 3) for name, took in medians.items()}
        result.figures[f"statements_{size}"] = max(_statements(market, name) for name in PAGES)
        result.figures[f"memory_kib_{size}"] = max(_memory(market, name) for name in PAGES)
    smallest = min(markets)
    for name in ("page_p50_ms", "worst_p50_ms", *(f"{one}_ms" for one in PAGES)):
        result.floor[name] = result.figures[f"{name}_{smallest}"]
        for size in markets:
            result.ratio[f"{name}_{size}"] = round(result.figures[f"{name}_{size}"] / result.floor[name], 2)


def _timed(market: _Market, name: str) -> float:
    start = time.perf_counter()
    page = _page(market, name)
    took = time.perf_counter() - start
    assert len(page.rows) == LIMIT, f"{name} found {len(page.rows)}"
    return took


def _page(market: _Market, name: str) -> CataloguePage:
    """A page as a request reads it, in a session of its own."""
    with market.house.runtime.database.reading() as db:
        cursor = market.middle if name == "middle" else None
        return visible(db, market.house.clock.now(), PAGES[name], cursor=cursor, limit=LIMIT)


def _statements(market: _Market, name: str) -> int:
    with _noted(market.house) as statements:
        _page(market, name)
    return sum(one.startswith("SELECT") for one in statements)


@contextmanager
def _noted(house: House) -> Iterator[list[str]]:
    statements: list[str] = []

    def note(_connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    event.listen(house.runtime.database.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(house.runtime.database.engine, "before_cursor_execute", note)


def _memory(market: _Market, name: str) -> float:
    """The most that Python held at once for a page, in KiB."""
    tracemalloc.start()
    try:
        _page(market, name)
        return round(tracemalloc.get_traced_memory()[1] / 1024)
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    main(measure)
