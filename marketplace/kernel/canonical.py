"""Canonical JSON (RFC 8785) for whatever is hashed or signed, and the strict reader that goes with it."""

from __future__ import annotations

import hashlib
import json
from typing import Any, TypeAlias

import rfc8785

from marketplace.kernel.errors import Invalid

MAX_DEPTH = 32
MAX_INTEGER = 2**53 - 1

Json: TypeAlias = dict[str, Any]


class AmbiguousDocument(Invalid):
    """The document could be read in two ways."""


def canonical(document: Any) -> bytes:
    """The RFC 8785 bytes of a document.

    Raises AmbiguousDocument for a float, an integer beyond 2^53, a non-string key or nesting over 32:
    decimals and large numbers travel as strings.
    """
    _refuse_ambiguity(document, depth=0)
    return rfc8785.dumps(document)


def read_strictly(data: bytes | str) -> Any:
    """Parse JSON that is to be verified: duplicate keys, NaN, floats and deep nesting are refused (threat T18)."""
    try:
        document = json.loads(data, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise AmbiguousDocument(f"not readable as strict JSON: {error}", action="send plain JSON") from error
    _refuse_ambiguity(document, depth=0)
    return document


def sha256_hex(data: bytes) -> str:
    """SHA-256 as 64 lower-case hex digits."""
    return hashlib.sha256(data).hexdigest()


def digest(document: Any) -> str:
    """SHA-256 of the canonical bytes, as hex."""
    return sha256_hex(canonical(document))


def _refuse_ambiguity(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise AmbiguousDocument("nested too deeply", expected=f"at most {MAX_DEPTH} levels")
    match value:
        case None | bool() | str():
            return
        case int():
            if abs(value) > MAX_INTEGER:
                raise AmbiguousDocument("integer beyond 2^53", got=str(value), action="send it as a string")
        case list() | tuple():
            for item in value:
                _refuse_ambiguity(item, depth + 1)
        case dict():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise AmbiguousDocument("object key is not a string", got=repr(key))
                _refuse_ambiguity(item, depth + 1)
        case _:
            raise AmbiguousDocument(
                "value has no single canonical form", got=type(value).__name__, action="send decimals as strings"
            )


def _unique_keys(pairs: list[tuple[str, Any]]) -> Json:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("an object has the same key twice")
    return document


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
