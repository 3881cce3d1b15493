"""Canonical JSON (RFC 8785) for whatever is hashed or signed, and the strict reader that goes with it."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, TypeAlias

import rfc8785

from marketplace.kernel.errors import Invalid

MAX_DEPTH = 32
MAX_INTEGER = 2**53 - 1

# The same bytes as RFC 8785 where every key is ASCII and there is no float, at a fifth of the cost: Python escapes
# strings as section 3.2.2.2 asks and writes integers without exponent.
_plain = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, check_circular=False).encode

_LISTS = (list, tuple)
_HALF_PAIR = re.compile("[\ud800-\udfff]")

Json: TypeAlias = dict[str, Any]


class AmbiguousDocument(Invalid):
    """The document could be read in two ways."""


def canonical(document: Any) -> bytes:
    """The RFC 8785 bytes of a document.

    Raises AmbiguousDocument for a float, an integer beyond 2^53, a non-string key or nesting over 32:
    decimals and large numbers travel as strings.
    """
    return canonical_text(document).encode()


def canonical_text(document: Any, *, depth: int = 0) -> str:
    """As `canonical`, as text; depth: how deep the document stands in the one that it becomes a part of."""
    if _refuse_ambiguity(document, depth):
        return _plain(document)
    return rfc8785.dumps(document).decode()


def read_strictly(data: bytes | str, *, decimals_as_text: bool = False) -> Any:
    """Parse JSON that is to be verified: duplicate keys, NaN, floats and deep nesting are refused (threat T18).

    decimals_as_text: for what is only shown, a number with a fraction or an exponent is its text instead.
    """
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")  # only UTF-8, never UTF-16 or UTF-32
        document = (_parse_decimals_as_text if decimals_as_text else _parse)(text)
    except (ValueError, RecursionError) as error:
        raise AmbiguousDocument(f"not readable as strict JSON: {error}", action="send plain JSON") from error
    if not (text.isascii() and "\\" not in text and text.count("{") + text.count("[") <= MAX_DEPTH):
        _refuse_ambiguity(document, depth=0)
    return document


def sha256_hex(data: bytes) -> str:
    """SHA-256 as 64 lower-case hex digits."""
    return hashlib.sha256(data).hexdigest()


def digest(document: Any) -> str:
    """SHA-256 of the canonical bytes, as hex."""
    return sha256_hex(canonical(document))


def _refuse_ambiguity(value: Any, depth: int) -> bool:
    """Whether every key is ASCII, so that its order by code points is its order by UTF-16 units."""
    plain, items = True, value
    if isinstance(value, dict):
        plain, items = _has_plain_keys(value), value.values()
    elif not isinstance(value, _LISTS):
        _require_leaf(value)
        items = ()
    if depth > MAX_DEPTH or (depth == MAX_DEPTH and items):
        raise AmbiguousDocument("nested too deeply", expected=f"at most {MAX_DEPTH} levels")
    for item in items:
        kind = type(item)
        if kind is str:  # most values by far
            if not item.isascii():
                _require_text(item)
        elif kind is int:
            _require_leaf(item)
        elif item is not None and kind is not bool:
            plain &= _refuse_ambiguity(item, depth + 1)
    return plain


def _require_leaf(value: Any) -> None:
    match value:
        case None | bool():
            pass
        case int():
            if not -MAX_INTEGER <= value <= MAX_INTEGER:
                raise AmbiguousDocument("integer beyond 2^53", got=str(value), action="send it as a string")
        case str():
            _require_text(value)
        case _:
            raise AmbiguousDocument(
                "value has no single canonical form", got=type(value).__name__, action="send decimals as strings"
            )


def _has_plain_keys(value: dict[Any, Any]) -> bool:
    try:
        plain = "".join(value).isascii()
    except TypeError:  # a key is no text, and is refused below
        plain = False
    if not plain:
        for key in value:
            _require_text(key)
    return plain


def _require_text(value: object) -> None:
    """A key or a text; half of a surrogate pair is no character and has no UTF-8 (RFC 7493 section 2.1)."""
    if not isinstance(value, str):
        raise AmbiguousDocument("object key is not a string", got=repr(value))
    if not value.isascii() and _HALF_PAIR.search(value):
        raise AmbiguousDocument("text holds half of a surrogate pair", action="send whole characters")


def _unique_keys(pairs: list[tuple[str, Any]]) -> Json:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("an object has the same key twice")
    return document


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _whole(text: str) -> int:
    number = int(text)
    _require_leaf(number)
    return number


def _refuse_float(text: str) -> Any:
    _require_leaf(float(text))


# Made once: `json.loads` would make a decoder for every text.
_numbers: Json = {"parse_int": _whole, "parse_float": _refuse_float, "parse_constant": _refuse_constant}
_parse = json.JSONDecoder(object_pairs_hook=_unique_keys, **_numbers).decode
_parse_decimals_as_text = json.JSONDecoder(object_pairs_hook=_unique_keys, **(_numbers | {"parse_float": str})).decode
