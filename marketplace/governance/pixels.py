"""Finding the pixel element of a file without loading it, and refusing files in which it hides or lacks something."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset

PIXEL_DATA = 0x7FE00010
_UNDEFINED = 0xFFFFFFFF
_ITEM = 0xFFFEE000
_END = 0xFFFEE0DD
_CHUNK = 1 << 18

MISSING = "no_pixel_data"
TRUNCATED = "pixel_data_truncated"
ODD_LENGTH = "pixel_length_differs"


@dataclass(frozen=True)
class Place:
    """start and end: the element's byte range in the file, its own header included; value: where its value starts.

    encapsulated: the value is a sequence of compressed fragments.
    content and element: the value and the decoded element, only for a deflated file whose bytes are nowhere on disk.
    """

    start: int
    value: int
    end: int
    encapsulated: bool = False
    content: bytes = b""
    element: Any = None

    def chunks(self, file: Any) -> Iterator[bytes]:
        """The value's bytes."""
        if self.element is not None:
            yield self.content
            return
        file.seek(self.value)
        left = self.end - self.value
        while left > 0 and (chunk := file.read(min(_CHUNK, left))):
            left -= len(chunk)
            yield chunk


def locate(file: Any, raw: Dataset) -> Place | str:
    """The pixel element at the file's present position, or a reason code.

    raw: the header as read up to here; its encoding says how the element is written (PS3.5 section 7.1).
    """
    start = file.tell()
    size = file.seek(0, 2)
    implicit, little = raw.original_encoding
    order = "<" if little else ">"
    file.seek(start)
    head = file.read(12)
    if len(head) < 8 or _tag(head, order) != PIXEL_DATA:
        return MISSING
    if implicit:
        value, length = start + 8, struct.unpack(order + "L", head[4:8])[0]
    elif len(head) == 12 and head[4:6] in {b"OB", b"OW"}:
        value, length = start + 12, struct.unpack(order + "L", head[8:12])[0]
    else:
        return MISSING
    if length == _UNDEFINED:
        end = _end_of_items(file, value, size, order)
        return TRUNCATED if end is None else Place(start, value, end, encapsulated=True)
    if value + length > size:
        return TRUNCATED
    return Place(start, value, value + length) if _expected(raw, length) else ODD_LENGTH


def inflated(path: str) -> Place | str:
    """The pixel element of a deflated file, or a reason code."""
    raw = dcmread(path, force=True)
    if PIXEL_DATA not in raw:
        return MISSING
    element = raw[PIXEL_DATA]
    content = bytes(element.value)
    return Place(0, 0, len(content), content=content, element=element) if _expected(raw, len(content)) else ODD_LENGTH


def _expected(raw: Dataset, length: int) -> bool:
    """Whether an uncompressed value is exactly as long as its shape says: nothing is missing, nothing is appended."""
    try:
        samples = int(raw.Rows) * int(raw.Columns) * int(raw.get("SamplesPerPixel") or 1)
        samples *= int(raw.get("NumberOfFrames") or 1)
        bits = samples * int(raw.BitsAllocated)
    except (AttributeError, TypeError, ValueError):
        return False
    size = (bits + 7) // 8
    if str(raw.get("PhotometricInterpretation")) == "YBR_FULL_422":
        size = size * 2 // 3
    return length in {size, size + size % 2}


def _end_of_items(file: Any, value: int, size: int, order: str) -> int | None:
    position = value
    while position + 8 <= size:
        file.seek(position)
        head = file.read(8)
        tag, length = _tag(head, order), struct.unpack(order + "L", head[4:8])[0]
        position += 8
        if tag == _END:
            return position
        if tag != _ITEM or length == _UNDEFINED:
            return None
        position += length
    return None


def _tag(head: bytes, order: str) -> int:
    group, element = struct.unpack(order + "HH", head[:4])
    return int(group) << 16 | int(element)
