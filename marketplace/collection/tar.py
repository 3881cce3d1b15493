"""Reading an untrusted tar from a stream: member by member, nothing extracted, nothing held but one header.

Own reader for POSIX ustar with the pax and GNU long-name extensions (IEEE 1003.1-2017, pax, section "ustar
Interchange Format"): the standard library's loads extension records of any declared size into memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from marketplace.kernel.errors import Invalid

BLOCK = 512
CHUNK = 1 << 18
MAX_MEMBERS = 20_000
MAX_EXTENSION = 1 << 16
MAX_NAME = 255
_EXTENSIONS = b"xgLK"


class BrokenTar(Invalid):
    """The body is not a tar that can be read."""


class TarTooLarge(Invalid):
    """The tar holds more than one upload may."""


class Readable(Protocol):
    """A stream that may return fewer bytes than asked, and none only at its end."""

    def read(self, size: int) -> bytes: ...


@dataclass(frozen=True)
class Member:
    """One member.  position: from 0; kind: `file`, `folder`, `link`, `other`; name: for judging only, never a path."""

    position: int
    name: str
    kind: str
    size: int

    @property
    def has_odd_name(self) -> bool:
        """Whether the name is over-long, holds control characters, or points outside of its folder."""
        parts = self.name.replace("\\", "/").split("/")
        strange = any(not char.isprintable() for char in self.name)
        return (
            not self.name or len(self.name) > MAX_NAME or strange or ".." in parts or parts[0] == "" or ":" in parts[0]
        )


class TarReader:
    """The members of a tar in order; the content of a member is read before the next one is asked for.

    limit: bytes of all members together.  Raises BrokenTar, TarTooLarge.
    """

    def __init__(self, stream: Readable, *, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._left = 0  # content bytes of the present member still in the stream
        self._padding = 0

    def members(self) -> Iterator[Member]:
        """Each member after skipping what is left of the one before."""
        position, total, name = 0, 0, ""
        while (header := self._header()) is not None:
            kind, size = header[156:157], _number(header[124:136])
            total += BLOCK + size
            if total > self._limit or position >= MAX_MEMBERS:
                raise TarTooLarge(
                    "the tar holds too much",
                    expected=f"at most {MAX_MEMBERS} members and {self._limit} bytes",
                    got=f"{position + 1} members, {total} bytes",
                    action="send it in several batches",
                )
            self._left, self._padding = size, -size % BLOCK
            if kind in _EXTENSIONS and kind:
                name = self._extension(kind, size) or name
                continue
            yield Member(position, name or _name(header), _KINDS.get(kind, "other"), size)
            position, name = position + 1, ""
            self._skip()

    def content(self) -> Iterator[bytes]:
        """The bytes of the present member in chunks."""
        while self._left:
            chunk = self._stream.read(min(CHUNK, self._left))
            if not chunk:
                raise BrokenTar("the tar ends within a member", action="send it again")
            self._left -= len(chunk)
            yield chunk

    def _header(self) -> bytes | None:
        block = self._exactly(BLOCK, may_end=True)
        if not block.strip(b"\0"):
            self._drain()
            return None
        blanked = block[:148] + b" " * 8 + block[156:]
        if _number(block[148:156]) != sum(blanked):
            raise BrokenTar("a tar header has the wrong checksum", action="send an uncompressed POSIX tar")
        return block

    def _extension(self, kind: bytes, size: int) -> str:
        """The long name in a pax or GNU extension record, if it holds one."""
        if size > MAX_EXTENSION:
            raise BrokenTar("a tar extension record is too large", expected=f"at most {MAX_EXTENSION} bytes")
        body = b"".join(self.content())
        self._skip()
        if kind == b"L":
            return _text(body.rstrip(b"\0"))
        if kind != b"x":
            return ""
        records = _pax(body)
        if "size" in records:
            raise BrokenTar("members over 8 GiB are not accepted", action="send smaller files")
        return records.get("path", "")

    def _skip(self) -> None:
        for _ in self.content():
            pass
        self._exactly(self._padding)
        self._padding = 0

    def _drain(self) -> None:
        """Read the padding after the end mark; a well-formed one is short."""
        for _ in range(1 << 10):
            if not self._stream.read(CHUNK):
                return
        raise BrokenTar("data after the end of the tar")

    def _exactly(self, size: int, *, may_end: bool = False) -> bytes:
        parts: list[bytes] = []
        while size and (chunk := self._stream.read(size)):
            parts.append(chunk)
            size -= len(chunk)
        if size and (parts or not may_end):
            raise BrokenTar("the tar ends too early", action="send it again")
        return b"".join(parts)


_KINDS = {b"0": "file", b"\0": "file", b"7": "file", b"5": "folder", b"1": "link", b"2": "link"}


def _number(field: bytes) -> int:
    """An octal field.  The base-256 form is for sizes that are not accepted anyway."""
    text = field.strip(b"\0 ")
    if not text:
        return 0
    try:
        return int(text, 8)
    except ValueError as error:
        raise BrokenTar("a tar header holds no octal number", action="send an uncompressed POSIX tar") from error


def _name(header: bytes) -> str:
    name, prefix = header[:100].split(b"\0")[0], b""
    if header[257:263] == b"ustar\0":
        prefix = header[345:500].split(b"\0")[0]
    return _text(prefix + b"/" + name if prefix else name)


def _text(name: bytes) -> str:
    # A name in another encoding is not odd by itself: GB18030 is usual.
    return name.decode("utf-8", errors="replace")


def _pax(body: bytes) -> dict[str, str]:
    """Records of a pax header: length, space, key, equals sign, value, newline."""
    records: dict[str, str] = {}
    while body:
        length, _, _ = body.partition(b" ")
        if not length.isdigit() or not 0 < int(length) <= len(body):
            raise BrokenTar("a pax record has no proper length")
        key, _, value = body[len(length) + 1 : int(length)].rstrip(b"\n").partition(b"=")
        records[_text(key)] = _text(value)
        body = body[int(length) :]
    return records
