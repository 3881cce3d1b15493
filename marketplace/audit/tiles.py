"""The stored tree: hash tiles of 256 (C2SP tlog-tiles), read for proofs and grown by the integrator."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from sqlmodel import Session, col, select

from marketplace.audit.models import Tile
from marketplace.audit.tree import HASH_BYTES, Reader, node_hash, root_at
from marketplace.kernel.errors import NotFound, Unavailable

WIDTH = 256
TILE_HEIGHT = 8
FETCHED = 256

_PATH = re.compile(r"((?:x[0-9]{3}/)*)([0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


class NoSuchTile(NotFound):
    """No such tile."""


class TreeDamaged(Unavailable):
    """The stored tree does not hold together."""


class StoredTree:
    """The stored tree, read through a session; tiles read once are kept for the life of the object."""

    def __init__(self, db: Session) -> None:
        self._db = db
        self._heights: dict[tuple[int, int], list[list[bytes]]] = {}

    @property
    def size(self) -> int:
        """Leaves in the tree."""
        last = self._db.exec(select(Tile).where(Tile.level == 0).order_by(col(Tile.index).desc()).limit(1)).first()
        return 0 if last is None else last.index * WIDTH + len(last.hashes) // HASH_BYTES

    @property
    def read(self) -> Reader:
        """The reader for proofs."""
        return self._read

    def root(self, size: int) -> bytes:
        """The root of the first `size` leaves.  Raises TreeDamaged when a tile is missing."""
        return root_at(self._read, size)

    def fetch(self, leaves: Iterable[int]) -> None:
        """Read the tiles of these leaves a few hundred at a time: for many proofs at once."""
        wanted = sorted({leaf // WIDTH for leaf in leaves} - {index for level, index in self._heights if level == 0})
        for start in range(0, len(wanted), FETCHED):
            indexes = wanted[start : start + FETCHED]
            rows = select(Tile.index, Tile.hashes).where(Tile.level == 0, col(Tile.index).in_(indexes))
            self._heights |= {(0, index): _heights(hashes) for index, hashes in self._db.exec(rows)}

    def _read(self, height: int, index: int) -> bytes:
        level, within = divmod(height, TILE_HEIGHT)
        tile, place = divmod(index << within, WIDTH)
        rows = self._rows(level, tile)
        try:
            return rows[within][place >> within]
        except IndexError as error:
            raise TreeDamaged(f"tile {level}/{tile} is too short", action="run `marketplace audit fsck`") from error

    def _rows(self, level: int, index: int) -> list[list[bytes]]:
        rows = self._heights.get((level, index))
        if rows is None:
            row = self._db.get(Tile, (level, index), populate_existing=True)
            rows = self._heights[level, index] = _heights(row.hashes if row else b"")
        return rows


def _heights(blob: bytes) -> list[list[bytes]]:
    """All heights of a tile at once: 256 hashes, 128, 64 … 2; many proofs share them."""
    rows = [split_hashes(blob)]
    for _ in range(TILE_HEIGHT - 1):
        below = rows[-1]
        rows.append([node_hash(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)])
    return rows


def grow(db: Session, size: int, leaves: Sequence[bytes]) -> None:
    """Append leaf hashes to a tree of `size` leaves; full tiles pass their root to the level above."""
    level = 0
    while leaves:
        leaves = _append(db, level, size, leaves)
        size >>= TILE_HEIGHT
        level += 1


def split_hashes(blob: bytes) -> list[bytes]:
    """The hashes of a tile."""
    return [blob[i : i + HASH_BYTES] for i in range(0, len(blob), HASH_BYTES)]


def tile_root(hashes: Sequence[bytes]) -> bytes:
    """The root of a full tile."""
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]


def public_tile(db: Session, level: str, path: str, published: int) -> bytes:
    """The bytes of a tile by its public path, e.g. `0` and `x001/234.p/17`.

    published: size of the latest checkpoint; nothing beyond it is shown.  Raises NoSuchTile.
    """
    if not re.fullmatch(r"[0-9]|[1-5][0-9]|6[0-3]", level):
        raise NoSuchTile("not a level", expected="0 to 63", got=level[:80])
    index, width = place_of(path)
    complete = published >> (TILE_HEIGHT * int(level))
    tile = db.get(Tile, (int(level), index))
    if tile is None or complete < index * WIDTH + width:
        raise NoSuchTile("the tree has no such tile", got=f"{level}/{path}")
    return tile.hashes[: width * HASH_BYTES]


def place_of(path: str) -> tuple[int, int]:
    """Index and width of a tile by its public path, e.g. `x001/234.p/17`.  Raises NoSuchTile."""
    found = _PATH.fullmatch(path)
    if found is None:
        raise NoSuchTile("not a tile path", expected="<index>[.p/<width>], e.g. x001/234.p/17", got=path[:80])
    index, width = int(found[1].replace("x", "").replace("/", "") + found[2]), int(found[3] or WIDTH)
    canonical = tile_path(index) + (f".p/{found[3]}" if found[3] else "")
    if path != canonical or (found[3] and width >= WIDTH) or index >= 1 << 40:
        raise NoSuchTile("not a tile path", expected="the shortest form of the index, a width below 256", got=path[:80])
    return index, width


def entry_bundle(bodies: Sequence[bytes]) -> bytes:
    """Entries in leaf order, each after its length as two bytes, the larger first (C2SP tlog-tiles)."""
    return b"".join(len(body).to_bytes(2, "big") + body for body in bodies)


def tile_path(index: int) -> str:
    """The public path of a tile index: 1234067 is `x001/x234/067`."""
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03d}")
    return "/".join(groups)


def _append(db: Session, level: int, size: int, hashes: Sequence[bytes]) -> list[bytes]:
    """Append to one level that holds `size` hashes; returns the roots of the tiles that became full."""
    full, rest = list[bytes](), list(hashes)
    while rest:
        index, held = divmod(size, WIDTH)
        tile = db.get(Tile, (level, index), populate_existing=True)
        if len(tile.hashes if tile else b"") != held * HASH_BYTES:
            raise TreeDamaged(
                f"tile {level}/{index} does not end at leaf count {size}", action="run `marketplace audit fsck`"
            )
        tile = tile or Tile(level=level, index=index, hashes=b"")
        now, rest = rest[: WIDTH - held], rest[WIDTH - held :]
        tile.hashes += b"".join(now)
        db.add(tile)
        size += len(now)
        if size % WIDTH == 0:
            full.append(tile_root(split_hashes(tile.hashes)))
    db.flush()
    return full
