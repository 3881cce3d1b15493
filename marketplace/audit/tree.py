"""The Merkle tree of RFC 9162 section 2.1 with SHA-256: pure functions, no session, no clock.

Proofs are computed through a `Reader`, so that the same code serves a list of hashes and stored tiles.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

# (height, index) -> hash of the complete subtree over the leaves [index << height, (index + 1) << height).
Reader: TypeAlias = Callable[[int, int], bytes]


def leaf_hash(data: bytes) -> bytes:
    """Hash of a leaf: SHA-256(0x00 || data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node: SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_hash(leaves: Sequence[bytes]) -> bytes:
    """Root over leaf data, 32 bytes."""
    return root_of_hashes([leaf_hash(leaf) for leaf in leaves])


def root_of_hashes(hashes: Sequence[bytes]) -> bytes:
    """Root over leaf hashes, 32 bytes."""
    frontier = Frontier()
    for one in hashes:
        frontier.append(one)
    return frontier.root()


def inclusion_proof(hashes: Sequence[bytes], index: int, size: int) -> list[bytes]:
    """The audit path of a leaf in the tree over the first `size` leaf hashes (RFC 9162 section 2.1.3.1)."""
    return inclusion_path(list_reader(hashes), index, size)


def consistency_proof(hashes: Sequence[bytes], old: int, new: int) -> list[bytes]:
    """Proof that the tree of `new` leaves extends the tree of `old` leaves (RFC 9162 section 2.1.4.1)."""
    return consistency_path(list_reader(hashes), old, new)


def list_reader(hashes: Sequence[bytes]) -> Reader:
    """A reader over leaf hashes held in memory."""

    def read(height: int, index: int) -> bytes:
        return root_of_hashes(hashes[index << height : (index + 1) << height])

    return read


def root_at(read: Reader, size: int) -> bytes:
    """The root of the first `size` leaves."""
    return _range_root(read, 0, size) if size else EMPTY_ROOT


def inclusion_path(read: Reader, index: int, size: int) -> list[bytes]:
    """As `inclusion_proof`, through a reader.  Raises ValueError for an index outside the tree."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    start, end, path = 0, size, list[bytes]()
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_range_root(read, middle, end))
            end = middle
        else:
            path.append(_range_root(read, start, middle))
            start = middle
    return path[::-1]


def consistency_path(read: Reader, old: int, new: int) -> list[bytes]:
    """As `consistency_proof`, through a reader; empty when `old` is 0.  Raises ValueError when old exceeds new."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} cannot extend a tree of {old}")
    if old == 0:
        return []
    start, end, path = 0, new, list[bytes]()
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_range_root(read, middle, end))
            end = middle
        else:
            path.append(_range_root(read, start, middle))
            start = middle
    if start:
        path.append(_range_root(read, start, end))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether a leaf hash stands at this index under this root (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node_hash(sibling, found)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(old: int, new: int, path: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Whether the tree of `new` leaves extends the tree of `old` leaves (RFC 9162 section 2.1.4.2).

    An empty old tree is extended by every tree, with an empty proof.
    """
    if old == new:
        return not path and old_root == new_root
    if not 0 < old < new:
        return old == 0 and not path and old_root == EMPTY_ROOT
    steps = list(path) if old & (old - 1) else [old_root, *path]
    if not steps:
        return False
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    return _walk_consistency(steps, place, last) == (old_root, new_root)


def _walk_consistency(steps: Sequence[bytes], place: int, last: int) -> tuple[bytes, bytes] | None:
    before = after = steps[0]
    for sibling in steps[1:]:
        if last == 0:
            return None
        if place & 1 or place == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        place, last = place >> 1, last >> 1
    return (before, after) if last == 0 else None


@dataclass
class Frontier:
    """A growing tree that keeps only the roots of its complete subtrees, largest first."""

    size: int = 0
    roots: list[bytes] = field(default_factory=list)

    def append(self, root: bytes, height: int = 0) -> None:
        """Add one leaf hash, or the root of 2^height leaves to a tree whose size is a multiple of that."""
        carried, ones = root, self.size >> height
        while ones & 1:
            carried = node_hash(self.roots.pop(), carried)
            ones >>= 1
        self.roots.append(carried)
        self.size += 1 << height

    def root(self) -> bytes:
        """The root of the leaves so far."""
        if not self.roots:
            return EMPTY_ROOT
        found = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            found = node_hash(left, found)
        return found


def _range_root(read: Reader, start: int, end: int) -> bytes:
    width = end - start
    if width & (width - 1) == 0:
        return read(width.bit_length() - 1, start // width)
    middle = start + _split(width)
    return node_hash(_range_root(read, start, middle), _range_root(read, middle, end))


def _split(width: int) -> int:
    """The largest power of two below a width of at least 2."""
    return 1 << ((width - 1).bit_length() - 1)
