"""A withheld count cannot be computed: not from the counts that are told, not with every margin besides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.transfer.aggregates import Cell, Table, as_csv, as_json, tabulate, withheld
from marketplace.transfer.selection import Row, row_of

SEXES, BANDS, YEARS = ("F", "M"), ("18-39", "40-59", "60-74"), (2020, 2021)


def rows_of(counts: Mapping[Cell, int]) -> list[Row]:
    """One study of a person of its own for each count; cells are sex, band, year as far as they go."""
    made = []
    for cell, count in sorted(counts.items()):
        sex, band, year = (*cell, "2020")[:3]
        for number in range(count):
            name = f"{'/'.join(cell)}/{number}"
            facts = {"patient": name, "sex": sex, "age_band": band, "month": int(year) * 12}
            made.append(row_of(name, name, facts))
    return made


def tables(*levels: tuple[object, ...]) -> st.SearchStrategy[dict[Cell, int]]:
    cells = [tuple(map(str, one)) for one in product(*levels)]
    return st.lists(st.integers(0, 7), min_size=len(cells), max_size=len(cells)).map(
        lambda counts: {cell: count for cell, count in zip(cells, counts, strict=True) if count}
    )


class Reader:
    """Whoever knows the counts that are told and all margins: tries every way to fill in the others.

    An oracle of its own: it knows nothing of boxes.  A margin is a sum over one fact, the others as they are; a fact
    that has one value everywhere has no margin but the count itself.
    """

    def __init__(self, truth: Mapping[Cell, int], hidden: list[Cell]) -> None:
        self.hidden = hidden
        self.free = [place for place, values in enumerate(zip(*truth, strict=True)) if len(set(values)) > 1]
        self.left: dict[tuple[int, Cell], int] = {}
        for one in hidden:
            for margin in self.margins(one):
                self.left[margin] = self.left.get(margin, 0) + truth.get(one, 0)

    def margins(self, cell: Cell) -> list[tuple[int, Cell]]:
        return [(place, cell[:place] + cell[place + 1 :]) for place in self.free] or [(-1, ())]

    def possible(self, cell: Cell) -> Iterator[int]:
        """What a hidden cell could be."""
        order = [cell, *(one for one in self.hidden if one != cell)]
        for value in range(min(self.left[one] for one in self.margins(cell)) + 1):
            if self._fits(order, value):
                yield value

    def _fits(self, order: list[Cell], value: int) -> bool:
        mine, rest = self.margins(order[0]), order[1:]
        for one in mine:
            self.left[one] -= value
        still = {margin for one in rest for margin in self.margins(one)}
        closed = all(self.left[one] == 0 for one in mine if one not in still)
        found = closed and (not rest or any(self._fits(rest, one) for one in range(self._most(rest[0]) + 1)))
        for one in mine:
            self.left[one] += value
        return found

    def _most(self, cell: Cell) -> int:
        return min(self.left[one] for one in self.margins(cell))


def assert_hidden(counts: dict[Cell, int], smallest: int) -> None:
    small = {cell for cell, count in counts.items() if count < smallest}
    hidden = withheld(counts, small)
    if hidden is None:
        return
    assert small <= hidden
    for cell in small:
        found = list(Reader(counts, sorted(hidden)).possible(cell))
        assert counts[cell] in found
        assert len(found) > 1, (cell, counts, hidden)


@settings(max_examples=150, deadline=None)
@given(tables(SEXES, BANDS), st.integers(2, 5))
def test_no_withheld_count_of_two_facts_can_be_computed(counts: dict[Cell, int], smallest: int) -> None:
    if counts:
        assert_hidden(counts, smallest)


@settings(max_examples=60, deadline=None)
@given(tables(SEXES, BANDS[:2], YEARS), st.integers(2, 4))
def test_no_withheld_count_of_three_facts_can_be_computed(counts: dict[Cell, int], smallest: int) -> None:
    if counts:
        assert_hidden(counts, smallest)


@given(tables(BANDS), st.integers(2, 5))
def test_no_withheld_count_of_one_fact_can_be_computed_from_the_total(counts: dict[Cell, int], smallest: int) -> None:
    if counts:
        assert_hidden(counts, smallest)


@given(tables(SEXES, BANDS), st.integers(1, 6))
def test_no_count_that_is_told_is_of_fewer_persons_than_asked(counts: dict[Cell, int], smallest: int) -> None:
    table = tabulate(rows_of(counts), ("patient_sex", "age_band"), smallest)
    for cell, count in table.cells.items():
        assert count is None or (count == counts[cell] >= smallest)
    assert table.smallest == 0 or table.smallest >= smallest
    total = sum(counts.values())
    assert table.total == (total if total >= smallest else 0)
    if table.cells:
        assert {cell for cell in counts if cell not in table.cells} == set()


def test_a_person_with_many_studies_is_one_person() -> None:
    rows = [row_of(f"{at}", f"study{at}", {"patient": "P1", "sex": "F"}) for at in range(9)]
    others = [row_of(f"m{at}", f"m{at}", {"patient": f"M{at}", "sex": "M"}) for at in range(9)]
    table = tabulate([*rows, *others], ("patient_sex",), 5)
    assert table.cells == {("F",): None, ("M",): None}
    assert tabulate(rows, ("patient_sex",), 5) == Table(("patient_sex",), {}, 0, 0)


def test_a_study_is_counted_once_whatever_its_files_say() -> None:
    rows = [
        row_of(f"{at}{kind}", f"s{at}", {"patient": f"P{at}", "modality": kind})
        for at in range(3)
        for kind in ("PT", "CT")
    ]
    table = tabulate([*rows, row_of("x", "s9", {"patient": "P9"})], ("modality",), 1)
    assert table.cells == {("CT+PT",): 3, ("unknown",): 1}


@pytest.mark.parametrize("mark", ["", "mark/1 agreement=agr_1"])
def test_a_table_reads_the_same_as_csv_and_as_data(mark: str) -> None:
    table = tabulate(rows_of({("F", "18-39"): 4, ("M", "18-39"): 5, ("M", "40-59"): 4}), ("patient_sex",), 3)
    text = as_csv(table, mark).decode()
    assert text.splitlines()[0] == '"patient_sex","records"' + (',"mark"' if mark else "")
    assert '"total","13"' in text or f'"total","13","{mark}"' in text
    assert as_json(table)["cells"] == [{"values": ["F"], "records": 4}, {"values": ["M"], "records": 9}]
