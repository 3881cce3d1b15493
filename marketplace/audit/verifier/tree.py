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


def extends(old_size: int, old_root: bytes, size: int, root: bytes, path: Sequence[bytes]) -> bool:
    """Whether a path shows that the tree of `size` leaves begins with the tree of `old_size` (section 2.1.4.2).

    Both roots are rebuilt from the path: the old one from the steps that lie to the left of its end.
    """
    if old_size == size:
        return not path and old_root == root
    if not 0 < old_size < size:
        return False
    steps = list(path)
    lowest = (old_size & -old_size).bit_length() - 1  # height of the smallest full subtree of the old tree
    if old_size == 1 << lowest:
        found_old = found = old_root
    elif steps:
        found_old = found = steps.pop(0)
    else:
        return False
    place, last = (old_size - 1) >> lowest, (size - 1) >> lowest
    for sibling in steps:
        if last == 0:
            return False
        if place & 1 or place == last:
            found_old, found = _node(sibling, found_old), _node(sibling, found)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            found = _node(found, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and (found_old, found) == (old_root, root)


def root_of_leaves(hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes, at least one (section 2.1.1)."""
    if len(hashes) == 1:
        return hashes[0]
    middle = 1 << ((len(hashes) - 1).bit_length() - 1)
    return _node(root_of_leaves(hashes[:middle]), root_of_leaves(hashes[middle:]))


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
