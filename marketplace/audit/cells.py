"""Tables as CSV (RFC 4180) that no spreadsheet can mistake for formulas (threat T27)."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence

MEDIA_TYPE = "text/csv; charset=utf-8"
_STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_AMOUNT = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The rows as CSV text, every cell quoted, lines ended by CRLF."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([cell(one) for one in row] for row in rows)
    return out.getvalue()


def row(values: Sequence[object]) -> str:
    """One line of such a table."""
    return ",".join('"' + cell(one).replace('"', '""') + '"' for one in values) + "\r\n"


def cell(value: object) -> str:
    """One cell: an apostrophe before what would start a formula, control characters as hex escapes; None is empty.

    A plain number stays one, also below zero: it computes nothing, and as text no column could be summed.
    """
    text = "" if value is None else str(value)
    if _AMOUNT.fullmatch(text):
        return text
    shown = text if text.isprintable() else "".join(_escaped(one) if _is_control(one) else one for one in text)
    # Spreadsheets skip leading blanks and quotes before they look for a formula.
    bare = text.lstrip(" \u00a0\u3000\"'")
    return f"'{shown}" if text.startswith(_STARTS_A_FORMULA) or bare.startswith(_STARTS_A_FORMULA) else shown


def _is_control(one: str) -> bool:
    # Cc: control, Cf: invisible format characters (bidi overrides), Zl and Zp: line and paragraph separators.
    return unicodedata.category(one) in {"Cc", "Cf", "Zl", "Zp", "Cs"}


def _escaped(one: str) -> str:
    code = ord(one)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
