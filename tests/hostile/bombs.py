"""Small files that want to become large, deep or endless (T24, T25): 50 and more, made here, none kept as a file."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from struct import pack

from tests.collection import corpus
from tests.collection.corpus import DEFLATED, element, with_meta

EXPLICIT, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
_MIB = 1 << 20
_CT = b"1.2.840.10008.5.1.4.1.1.2"


Files = Iterator[tuple[str, bytes]]


def _deflated() -> Files:
    yield "deflated 900 MiB", corpus.bomb(DEFLATED[0], 900)
    for number, syntax in enumerate(DEFLATED):
        yield f"deflated {number} 256 MiB", corpus.bomb(syntax, 256)
        yield f"deflated {number} cut", corpus.bomb(syntax, 64)[:-20]
        yield f"deflated {number} twice", with_meta(syntax, _raw(_raw(bytes(64 * _MIB))))
        endless = pack("<HH2sHI", 0x42, 0x11, b"OB", 0, 0xFFFFFFFF)
        yield f"deflated {number} endless element", with_meta(syntax, _raw(endless + bytes(_MIB)))


def _raw(body: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflate.compress(body) + deflate.flush()


def _deep() -> Files:
    for depth in (100, 900, 1100, 20_000, 200_000):
        yield f"sequences {depth} deep, open", corpus.nested(depth, defined_length=False)
    opening = pack("<HH2sHI", 0x40, 0xA043, b"SQ", 0, 0xFFFFFFFF) + pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    yield "sequences that never close", with_meta(EXPLICIT, opening * 50_000)
    yield "items without end", with_meta(EXPLICIT, opening + pack("<HHI", 0xFFFE, 0xE000, 0) * 400_000)
    yield "closing without opening", with_meta(EXPLICIT, pack("<HHI", 0xFFFE, 0xE0DD, 0) * 100_000)
    yield "300,000 private elements", corpus.crowded(300_000)


def _lengths() -> Files:
    for vr in (b"OB", b"OW", b"UN", b"UT", b"SQ", b"UC", b"OF"):
        for length in (0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF):
            yield (
                f"{vr.decode()} of {length:#x}",
                with_meta(EXPLICIT, pack("<HH2sHI", 0x42, 0x11, vr, 0, length) + b"x"),
            )
    yield "implicit length of 4 GiB", with_meta(IMPLICIT, pack("<HHI", 0x42, 0x11, 0xFFFFFFFE) + b"x")
    yield "big-endian length", with_meta(BIG, pack(">HH2sHI", 0x42, 0x11, b"OB", 0, 0x7FFFFFFF) + b"x")
    yield "meta group of 4 GiB", b"\0" * 128 + b"DICM" + element(2, 0, b"UL", pack("<I", 0xFFFFFFFF))
    yield "meta that goes on", b"\0" * 128 + b"DICM" + element(2, 0x10, b"UI", EXPLICIT.encode()) * 50_000
    yield "text of 3 MiB in a code", with_meta(EXPLICIT, pack("<HH2sHI", 8, 0x60, b"UN", 0, 3 * _MIB) + b"C" * 3 * _MIB)


def _pixels() -> Files:
    for rows, columns, frames in (
        (65535, 65535, b"1"),
        (65535, 65535, b"2147483647"),
        (1, 1, b"9" * 12),
        (0, 0, b"-1"),
    ):
        head = element(8, 0x16, b"UI", _CT) + element(8, 0x18, b"UI", b"1.2.3.4")
        head += element(0x20, 0xD, b"UI", b"1.2.3") + element(0x20, 0xE, b"UI", b"1.2.3.1")
        head += element(0x28, 2, b"US", pack("<H", 3)) + element(0x28, 8, b"IS", frames)
        head += element(0x28, 0x10, b"US", pack("<H", rows)) + element(0x28, 0x11, b"US", pack("<H", columns))
        head += element(0x28, 0x100, b"US", pack("<H", 32))
        yield (
            f"{rows} x {columns} x {frames.decode()} pixels",
            with_meta(EXPLICIT, head + element(0x7FE0, 0x10, b"OW", b"x" * 64)),
        )
    fragments = pack("<HHI", 0xFFFE, 0xE000, 0) * 300_000
    yield (
        "300,000 empty fragments",
        with_meta("1.2.840.10008.1.2.4.50", pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF) + fragments),
    )


def _containers() -> Files:
    zeros = bytes(8 * _MIB)
    inner = _zip([("zeros", zeros)] * 4)
    for depth in range(4):
        yield f"zip within zip {depth}", inner
        inner = _zip([(f"{number}.zip", inner) for number in range(8)])
    yield "gzip", gzip.compress(zeros * 8)
    yield "gzip within gzip", gzip.compress(gzip.compress(zeros * 8))
    yield "tar of zeros", corpus.tar([("zeros", zeros[:_MIB])])
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    yield "tar with a link", corpus.tar([link])
    yield "svg", b"<!DOCTYPE svg [<!ENTITY a '" + b"a" * 1000 + b"'>]><svg>" + b"&a;" * 1000 + b"</svg>"
    yield (
        "billion laughs",
        (
            b"<!DOCTYPE l [<!ENTITY a 'ha'>"
            + b"".join(f"<!ENTITY {chr(98 + n)} '{f'&{chr(97 + n)};' * 10}'>".encode() for n in range(9))
            + b"]><l>&j;</l>"
        ),
    )
    yield (
        "png header of 100,000 x 100,000",
        b"\x89PNG\r\n\x1a\n" + pack(">I4sII", 13, b"IHDR", 100_000, 100_000) + b"\x08\x06\0\0\0",
    )


def _zip(members: list[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for number, (name, body) in enumerate(members):
            target.writestr(f"{number}-{name}", body)
    return out.getvalue()


def _headers() -> Files:
    good = corpus.dicom(9)
    for at in (3, 131, 140, 200, len(good) - 30):
        yield f"good, cut at {at}", good[:at]
    for at in (132, 150, 180, 220):
        yield f"good, octet {at} changed", good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :]
    yield "nothing", b""
    yield "only zeros", bytes(_MIB)
    yield "a preamble alone", b"\0" * 128 + b"DICM"


# Made when they are asked for: some take a second.
GROUPS: dict[str, Callable[[], Files]] = {
    "deflated": _deflated,
    "deep": _deep,
    "lengths": _lengths,
    "pixels": _pixels,
    "containers": _containers,
    "headers": _headers,
}
