"""Strict JSON: read without ambiguity, and the canonical form of RFC 8785 for documents without floats."""

from __future__ import annotations

import json
from typing import Any

MAX_DEPTH = 32
MAX_INTEGER = 2**53 - 1


class Unreadable(ValueError):
    """The text can not be read, or could be read in two ways."""


def read(text: str, depth: int = MAX_DEPTH) -> Any:
    """Parse JSON; duplicate keys, floats, NaN, lone surrogates, deep nesting are refused.  Raises Unreadable."""
    try:
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_refuse, parse_int=_integer
        )
        _judge(value, depth)
    except (ValueError, RecursionError) as error:
        raise Unreadable(str(error)[:200]) from error
    return value


def canonical(value: Any) -> str:
    """The RFC 8785 text of a value that `read` accepts."""
    return json.dumps(_sorted(value), ensure_ascii=False, separators=(",", ":"))


def read_canonical(text: str) -> Any:
    """Parse a text that must be in canonical form.  Raises Unreadable."""
    value = read(text)
    if canonical(value) != text:
        raise Unreadable("not in canonical form (RFC 8785)")
    return value


def mapping(value: Any, name: str) -> dict[str, Any]:
    """The member as an object; an empty one when it is missing or something else."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def string(value: Any, *names: str) -> str | None:
    """The string at a path of member names, None when there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None


def _sorted(value: Any) -> Any:
    match value:
        case dict():
            # RFC 8785 section 3.2.3: member names are ordered by UTF-16 code units.
            return {key: _sorted(value[key]) for key in sorted(value, key=lambda key: key.encode("utf-16-be"))}
        case list():
            return [_sorted(item) for item in value]
        case _:
            return value


def _judge(value: Any, depth: int) -> None:
    if depth < 0:
        raise Unreadable("nested too deeply")
    match value:
        case dict():
            for key, item in value.items():
                _judge(key, depth)
                _judge(item, depth - 1)
        case list():
            for item in value:
                _judge(item, depth - 1)
        case str():
            value.encode("utf-8")  # a lone surrogate raises, which is a ValueError


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unreadable("an object has the same key twice")
    return found


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > MAX_INTEGER:
        raise Unreadable("an integer beyond 2^53")
    return int(digits)


def _refuse(text: str) -> Any:
    raise Unreadable(f"{text[:40]} is not allowed")
