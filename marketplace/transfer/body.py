"""The bytes of a delivery: one file, or the deterministic tar of all files; read with every stored object verified."""

from __future__ import annotations

import bisect
import hashlib
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from marketplace.plumbing.storage import ObjectDamaged, ObjectStore

_BLOCK = tarfile.BLOCKSIZE
_MODE = 0o444


@dataclass(frozen=True)
class Part:
    """A file that goes into a delivery: path, name in the object store, size in bytes."""

    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Piece:
    """Bytes from `offset` on: literal ones, or a stored object."""

    offset: int
    size: int
    literal: bytes = b""
    stored: str | None = None


@dataclass(frozen=True)
class Body:
    """Pieces without gaps from offset 0.  Positions count bytes of the whole."""

    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        return self.pieces[-1].offset + self.pieces[-1].size if self.pieces else 0

    @cached_property
    def _starts(self) -> list[int]:
        return [piece.offset for piece in self.pieces]

    def read(self, store: ObjectStore, start: int, end: int) -> Iterator[bytes]:
        """The bytes [start, end) in chunks; the last chunk of an object comes only after its hash was checked.

        Raises ObjectDamaged.
        """
        first = max(0, bisect.bisect_right(self._starts, start) - 1)
        for piece in self.pieces[first:]:
            if piece.offset >= end:
                return
            low, high = max(0, start - piece.offset), min(piece.size, end - piece.offset)
            if piece.stored is None:
                yield piece.literal[low:high]
            else:
                yield from verified(store, piece.stored, piece.size, low, high)


def verified(store: ObjectStore, sha256: str, size: int, start: int, end: int) -> Iterator[bytes]:
    """The bytes [start, end) of a stored object; the whole object is hashed before its last chunk is handed out.

    Raises ObjectDamaged: hash or size differ.
    """
    running, position, waiting = hashlib.sha256(), 0, b""
    for chunk in store.read(sha256):
        running.update(chunk)
        wanted = chunk[max(0, start - position) : max(0, end - position)]
        position += len(chunk)
        if wanted:
            if waiting:
                yield waiting
            waiting = wanted
    if position != size or running.hexdigest() != sha256:
        raise ObjectDamaged("a stored file no longer has its hash", expected=sha256, got=running.hexdigest())
    if waiting:
        yield waiting


def file_body(part: Part) -> Body:
    """A single file."""
    return Body((Piece(0, part.bytes, stored=part.sha256),))


def tar_body(parts: Iterable[Part]) -> Body:
    """The tar (POSIX 1003.1 ustar, pax where a name needs it) of files by path; the same files give the same bytes."""
    pieces: list[Piece] = []
    offset = 0
    for part in sorted(parts, key=lambda one: one.path.encode()):
        header, padding = _header(part), b"\0" * (-part.bytes % _BLOCK)
        content = offset + len(header)
        made = (
            Piece(offset, len(header), literal=header),
            Piece(content, part.bytes, stored=part.sha256),
            Piece(content + part.bytes, len(padding), literal=padding),
        )
        pieces.extend(piece for piece in made if piece.size)
        offset = content + part.bytes + len(padding)
    return Body((*pieces, Piece(offset, 2 * _BLOCK, literal=b"\0" * (2 * _BLOCK))))


def hash_of(body: Body, store: ObjectStore) -> str:
    """SHA-256 of the whole, read once."""
    running = hashlib.sha256()
    for chunk in body.read(store, 0, body.size):
        running.update(chunk)
    return running.hexdigest()


def _header(part: Part) -> bytes:
    info = tarfile.TarInfo(part.path)
    info.size, info.mode, info.mtime = part.bytes, _MODE, 0
    try:
        return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
    except ValueError:  # a longer or non-ASCII name, or 8 GiB and more
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
