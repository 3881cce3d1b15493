"""Checking inclusion and consistency (RFC 9162 section 2.1), written anew here."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def leaf(data: bytes) -> bytes:
    """Hash of a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def root_from_path(leaf_hash: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that a leaf and its path lead to; None when the path has a wrong length."""
    if not 0 <= index < size:
        return None
    inner = (index ^ (size - 1)).bit_length()
    border = (index >> inner).bit_count()
    if len(path) != inner + border:
        return None
    found = leaf_hash
    for height, sibling in enumerate(path[:inner]):
        left = bool(index >> height & 1)
        found = _node(sibling, found) if left else _node(found, sibling)
    for sibling in path[inner:]:
        found = _node(sibling, found)
    return found


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
