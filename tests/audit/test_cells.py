"""A hostile corpus goes into a CSV and is read again cell by cell."""

from __future__ import annotations

import csv
import io
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.audit.cells import cell, table

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
HOSTILE = [
    "=1+1", "=cmd|' /C calc'!A0", "+cmd", "-2+3", "@SUM(A1:A9)", "\t=1", "\r=1", "\n=1", " =1", "\u00a0@x", "\"=1\"",
    "'=1", "＝1+1", "＋1", "－1", "＠x", '=HYPERLINK("http://example.invalid";"x")', "a\r\nb", "a\nb", "a\x00b",
    "\x1b[2J",
    "a\x7fb", "a\u2028b", "a\u202eb", 'quote " quote', "comma, semicolon; tab\t", "示例市第一人民医院", "", "x" * 5000,
]  # fmt: skip


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def safe(text: str) -> bool:
    starts = text.lstrip(" \u00a0\u3000\"'")
    if starts == text and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        return True
    return text.startswith("'") or not starts.startswith(FORMULA)


@pytest.mark.parametrize("value", HOSTILE)
def test_no_cell_starts_a_formula_or_holds_a_control_character(value: str) -> None:
    ((header,), (got,)) = read(table(["value"], [[value]]))
    assert header == "value"
    assert safe(got)
    assert not any(unicodedata.category(one) in {"Cc", "Cf", "Zl", "Zp"} for one in got)
    if value and value[0] in FORMULA:
        assert got[0] == "'"


def test_the_whole_corpus_keeps_its_rows_and_columns() -> None:
    rows = [[value, index, None, value] for index, value in enumerate(HOSTILE)]
    _, *got = read(table(["a", "b", "c", "d"], rows))
    assert [(one[1], one[2]) for one in got] == [(str(index), "") for index in range(len(HOSTILE))]
    assert all(one[0] == one[3] == cell(value) for one, value in zip(got, HOSTILE, strict=True))


def test_harmless_text_stays_as_it_is() -> None:
    assert [cell(one) for one in ("示例 (a-b)", 12, "2026-01-01", None)] == ["示例 (a-b)", "12", "2026-01-01", ""]


def test_an_amount_below_zero_stays_a_number_and_what_only_begins_as_one_does_not() -> None:
    assert [cell(one) for one in (-5, "-12.05", "0.00")] == ["-5", "-12.05", "0.00"]
    assert [cell(one) for one in ("-12.05+1", "-1e3", "--1", "-", "-１", "-1\n")] == [
        "'-12.05+1", "'-1e3", "'--1", "'-", "'-１", "'-1\\x0a",
    ]  # fmt: skip


@given(st.lists(st.lists(st.text(max_size=20), min_size=2, max_size=2), max_size=5))
def test_any_text_comes_back_cell_by_cell(rows: list[list[str]]) -> None:
    _, *got = read(table(["a", "b"], rows))
    assert got == [[cell(one) for one in row] for row in rows]
    assert all(safe(one) for row in got for one in row)
