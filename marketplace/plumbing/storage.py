"""Content-addressed objects: the SHA-256 of the bytes is the only name, made here and never by a client."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from marketplace.kernel.errors import Invalid, NotFound, Unavailable

CHUNK = 1 << 18
_NAME = re.compile(r"[0-9a-f]{64}")


class ObjectTooLarge(Invalid):
    """The file is larger than this service accepts."""


class NoSuchObject(NotFound):
    """No object with this hash."""


class ObjectDamaged(Unavailable):
    """The stored bytes no longer have their hash."""


@dataclass(frozen=True)
class StoredObject:
    """sha256: hex name; size: bytes."""

    sha256: str
    size: int


class ObjectStore(Protocol):
    """Where file contents lie."""

    def put(self, chunks: Iterable[bytes], *, limit: int) -> StoredObject:
        """Store a stream; durable when it returns, half-written never visible.  Raises ObjectTooLarge."""
        ...

    def read(self, sha256: str, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes [start, end) in chunks.  Raises NoSuchObject."""
        ...

    def size(self, sha256: str) -> int:
        """Bytes of an object.  Raises NoSuchObject."""
        ...

    def has(self, sha256: str) -> bool:
        """Whether the object is there."""
        ...

    def local_path(self, sha256: str) -> Path:
        """A read-only local file with the content, for child processes.  Raises NoSuchObject."""
        ...


class FolderStore:
    """Objects as files `ab/cdef…` below one folder; names are hashes, so no path comes from outside."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        (root / "incoming").mkdir(exist_ok=True)

    def put(self, chunks: Iterable[bytes], *, limit: int) -> StoredObject:
        handle, name = tempfile.mkstemp(dir=self.root / "incoming")
        try:
            with os.fdopen(handle, "wb") as file:
                stored = _copy(chunks, file, limit)
                file.flush()
                os.fsync(file.fileno())
            self._publish(Path(name), stored.sha256)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return stored

    def read(self, sha256: str, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        with self.local_path(sha256).open("rb") as file:
            file.seek(start)
            left = (end if end is not None else 1 << 62) - start
            while left > 0 and (chunk := file.read(min(CHUNK, left))):
                left -= len(chunk)
                yield chunk

    def size(self, sha256: str) -> int:
        return self.local_path(sha256).stat().st_size

    def has(self, sha256: str) -> bool:
        return self._path(sha256).is_file()

    def local_path(self, sha256: str) -> Path:
        path = self._path(sha256)
        if not path.is_file():
            raise NoSuchObject("no object with this hash", got=sha256)
        return path

    def _publish(self, temporary: Path, sha256: str) -> None:
        """Give the bytes their name, also when it is taken: what lies there may be damaged, or not durable yet."""
        target = self._path(sha256)
        target.parent.mkdir(exist_ok=True)
        temporary.chmod(0o440)
        temporary.replace(target)
        for folder in (target.parent, self.root):
            _sync_folder(folder)

    def _path(self, sha256: str) -> Path:
        if not _NAME.fullmatch(sha256):
            raise NoSuchObject("not an object name", expected="64 hex digits", got=sha256[:80])
        return self.root / sha256[:2] / sha256[2:]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _copy(chunks: Iterable[bytes], file: IO[bytes], limit: int) -> StoredObject:
    running, size = hashlib.sha256(), 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise ObjectTooLarge("file too large", expected=f"at most {limit} bytes", got=f"over {size} bytes")
        running.update(chunk)
        file.write(chunk)
    return StoredObject(running.hexdigest(), size)
