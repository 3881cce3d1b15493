"""Files as tars of bounded size, the same bytes for the same files: the sender's half of an upload."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_FILES = 200
MAX_BYTES = 64 << 20


@dataclass(frozen=True)
class TarBatch:
    """One tar.  names: the sender's own paths by position in the tar; they stay with the sender."""

    body: bytes
    names: list[Path]


def tar_batches(paths: Iterable[Path], *, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES) -> Iterator[TarBatch]:
    """Pack files in the order given; a batch ends before it would exceed a limit, a larger file goes alone.

    Inside the tar a file is called by its position and ending, so that no name of a patient travels.  The bytes
    depend on the files' contents alone: a batch that is sent again after a crash is the same batch.
    """
    batch: list[Path] = []
    size = 0
    for path in paths:
        bytes_of_file = path.stat().st_size
        if batch and (len(batch) == max_files or size + bytes_of_file > max_bytes):
            yield TarBatch(_tar(batch), batch)
            batch, size = [], 0
        batch.append(path)
        size += bytes_of_file
    if batch:
        yield TarBatch(_tar(batch), batch)


def _tar(paths: list[Path]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for position, path in enumerate(paths):
            content = path.read_bytes()
            ending = path.suffix if path.suffix.isascii() and path.suffix[1:].isalnum() else ""
            member = tarfile.TarInfo(f"{position:06d}{ending[:8]}")
            member.size, member.mode = len(content), 0o444
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
