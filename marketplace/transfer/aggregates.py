"""A table of counts instead of records: cells of few persons are withheld, and others with them.

Pure.  A record (study) is counted in exactly one cell, so that sums over cells are sums over records.  A cell of fewer
persons than the terms ask is withheld.  That alone would not hide it from a reader who knows a margin, from us or from
the catalogue.  So each withheld cell stands in the corner of a box (two values of each fact that has two) of which all
corners are withheld: adding one at every other corner and taking one away at the rest leaves every margin as it was,
so that no margin tells the cell (the hypercube method of statistical disclosure control).  Where a cell has no such
box, nothing but the total is told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product

from marketplace.audit import cells as sheet
from marketplace.kernel.canonical import Json
from marketplace.transfer.selection import Row

Cell = tuple[str, ...]
MOST_BOXES = 5_000
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Table:
    """Counts of records by facts.

    cells: in order; None = withheld; a combination that is not here has no record, unless no cell is told at all.
    total: all records; smallest: persons in the smallest count that is told, 0 = nothing is.
    """

    facts: tuple[str, ...]
    cells: Mapping[Cell, int | None]
    total: int
    smallest: int


def tabulate(rows: Iterable[Row], facts: Sequence[str], smallest: int) -> Table:
    """The table of the records that these rows belong to; nothing is told where all of them are fewer persons."""
    records, persons = _counted(rows, facts)
    total, everybody = sum(records.values()), set[str]().union(*persons.values())
    if len(everybody) < max(smallest, 1):
        return Table(tuple(facts), {}, 0, 0)
    hidden = withheld(records, {cell for cell, some in persons.items() if len(some) < smallest})
    cells: dict[Cell, int | None] = {}
    if hidden is not None:
        cells = {cell: None if cell in hidden else records[cell] for cell in sorted({*records, *hidden})}
    told = [len(persons[cell]) for cell, count in cells.items() if count is not None]
    return Table(tuple(facts), cells, total, min(told, default=len(everybody)))


def as_csv(table: Table, mark: str) -> bytes:
    """One line for each cell and one for the total; a withheld count is empty.  mark: stands in every line, may be
    empty."""
    columns = (*table.facts, "records", *(["mark"] if mark else []))
    end = [mark] if mark else []
    lines = [[*cell, "" if count is None else str(count), *end] for cell, count in table.cells.items()]
    total = [["total", *[""] * (len(table.facts) - 1), str(table.total), *end]]
    return sheet.table(columns, [*lines, *total]).encode()


def as_json(table: Table) -> Json:
    """The same as data; a withheld count is null."""
    cells = [{"values": list(cell), "records": count} for cell, count in table.cells.items()]
    return {"facts": list(table.facts), "cells": cells, "total": table.total, "smallest_group": table.smallest}


def withheld(counts: Mapping[Cell, int], small: Iterable[Cell]) -> frozenset[Cell] | None:
    """The cells to withhold so that no small one can be computed from the others and all margins; None: no way.

    counts: records of each cell that has any.  Empty cells may be among those that are withheld.
    """
    levels = [sorted(set(values)) for values in zip(*counts, strict=True)]
    hidden = set(small)
    for cell in sorted(hidden, key=lambda one: (counts[one], one)):
        box = _best_box(cell, levels, counts, hidden)
        if box is None:
            return None
        hidden |= box
    return frozenset(hidden)


def _counted(rows: Iterable[Row], facts: Sequence[str]) -> tuple[dict[Cell, int], dict[Cell, set[str]]]:
    studies: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        studies[row.study].append(row)
    records: dict[Cell, int] = defaultdict(int)
    persons: dict[Cell, set[str]] = defaultdict(set)
    for some in studies.values():
        cell = tuple(_value(some, name) for name in facts)
        records[cell] += 1
        persons[cell] |= {one.person for one in some}
    return dict(records), dict(persons)


def _value(rows: Sequence[Row], fact: str) -> str:
    """The fact of a study: what its files say, several joined, so that it is in one cell only."""
    return "+".join(sorted({one.values[fact] for one in rows} - {""})) or UNKNOWN


def _best_box(
    cell: Cell, levels: Sequence[Sequence[str]], counts: Mapping[Cell, int], hidden: set[Cell]
) -> set[Cell] | None:
    """The corners of the box that hides a cell at the least cost: records that are withheld on top, then its place."""
    best: tuple[tuple[int, int, list[Cell]], set[Cell]] | None = None
    for even, odd in islice(_boxes(cell, levels), MOST_BOXES):
        # One way or the other every corner of one parity must have something to take away.
        if not (all(counts.get(one, 0) for one in even) or all(counts.get(one, 0) for one in odd)):
            continue
        corners = {*even, *odd}
        fresh = corners - hidden
        cost = (sum(counts.get(one, 0) for one in fresh), len(fresh), sorted(fresh))
        if best is None or cost < best[0]:
            best = cost, corners
    return best[1] if best else None


def _boxes(cell: Cell, levels: Sequence[Sequence[str]]) -> Iterator[tuple[list[Cell], list[Cell]]]:
    """The corners of each box around a cell, apart by parity; a fact with one value alone has no other side."""
    sides = [[one for one in some if one != value] or [value] for value, some in zip(cell, levels, strict=True)]
    free = [place for place, some in enumerate(levels) if len(some) > 1]
    if not free:
        return
    for far in product(*sides):
        even, odd = list[Cell](), list[Cell]()
        for steps in product((False, True), repeat=len(free)):
            moved = {place for place, step in zip(free, steps, strict=True) if step}
            corner = tuple(far[place] if place in moved else value for place, value in enumerate(cell))
            (odd if sum(steps) % 2 else even).append(corner)
        yield even, odd
