"""Reading the header of an untrusted DICOM file: runs in the sandbox and answers plain facts, no personal data."""

from __future__ import annotations

import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pydicom import FileDataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset, read_partial
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from marketplace.collection.rules import Reason, code, uid

INFLATE_LIMIT = 64 << 20
MAX_DEPTH = 16
MAX_ELEMENTS = 100_000

# Every transfer syntax whose data set is deflated as a whole (PS3.6 table A-1).
DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
NATIVE = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"})
MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
_PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_ITEM = b"\xfe\xff\x00\xe0"
_END_OF_ITEMS = b"\xfe\xff\xdd\xe0"
_UNDEFINED_LENGTH = 0xFFFF_FFFF
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Parsed:
    """Facts of a header, or why there are none.  reason: empty for an accepted file; all UIDs are checked texts."""

    reason: str = ""
    study: str = ""
    series: str = ""
    instance: str = ""
    sop_class: str = ""
    transfer_syntax: str = ""
    modality: str = ""
    body_part: str = ""
    rows: int = 0
    columns: int = 0
    has_private: bool = False


class _LeftOut(Exception):
    """Ends the reading of a file.  Its only argument is the Reason."""


class _Pixels:
    """Where the reading stops, and what the pixel data element says of itself.  header: bytes before its value."""

    def __init__(self) -> None:
        self.found = False
        self.length = 0
        self.header = 8

    def begin(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        self.found = tag in _PIXEL_TAGS
        if self.found:
            self.length = length
            self.header = 12 if vr in EXPLICIT_VR_LENGTH_32 else 8
        return self.found


def read_header(path: str) -> Parsed:
    """The facts of one file; a file that cannot be accepted yields its Reason, never an exception for bad content."""
    try:
        with Path(path).open("rb") as file:
            return _read(file, Path(path).stat().st_size)
    except _LeftOut as ended:
        return Parsed(reason=ended.args[0])
    except RecursionError:
        return Parsed(reason=Reason.TOO_DEEP)
    except InvalidDicomError:
        return Parsed(reason=Reason.NOT_DICOM)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - pydicom raises many kinds on broken input, all mean the same
        return Parsed(reason=Reason.BROKEN)


def _read(file: BinaryIO, size: int) -> Parsed:
    if file.read(132)[128:] != b"DICM":
        raise _LeftOut(Reason.NOT_DICOM)
    # Leaves the file at the first byte after group 2, where a deflated data set begins.
    meta = read_dataset(file, is_implicit_VR=False, is_little_endian=True, stop_when=_after_meta)
    if str(meta.get("MediaStorageSOPClassUID", "")) == MEDIA_DIRECTORY:
        raise _LeftOut(Reason.DICOMDIR)
    syntax = str(meta.get("TransferSyntaxUID", ""))
    if syntax in DEFLATED:
        size = _inflated_size(file)
    file.seek(0)
    pixels = _Pixels()
    with warnings.catch_warnings():
        # pydicom only warns when a data set ends inside an element of undefined length.
        warnings.filterwarnings("error", message=r"(End|Unexpected end) of file")
        dataset = read_partial(file, stop_when=pixels.begin)
    if not pixels.found and syntax not in DEFLATED:
        _require_last(dataset, size)
    _walk(dataset)
    _require_pixels(dataset, pixels, syntax)
    if pixels.found and syntax not in DEFLATED:
        _require_end(file, pixels, size)
    return _facts(dataset, meta, syntax)


def _after_meta(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group != 2


def _inflated_size(file: BinaryIO) -> int:
    """Bytes of the inflated data set, counted in small pieces that are thrown away."""
    inflater, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while not inflater.eof:
        chunk = inflater.unconsumed_tail or file.read(_CHUNK)
        piece = inflater.decompress(chunk, _CHUNK)
        if not chunk and not piece:
            raise _LeftOut(Reason.BROKEN)
        size += len(piece)
        if size > INFLATE_LIMIT:
            raise _LeftOut(Reason.INFLATES_TOO_FAR)
    return size


def _walk(dataset: Dataset) -> None:
    """Visit all elements down to the limits, refuse values shorter than they say; only sequences are decoded."""
    left = MAX_ELEMENTS
    waiting: list[tuple[Dataset, int]] = [(dataset, 1)]
    while waiting:
        current, depth = waiting.pop()
        left -= len(current)
        if left < 0:
            raise _LeftOut(Reason.TOO_MANY_ELEMENTS)
        for tag in current.keys():  # noqa: SIM118 - iterating the data set itself would decode every element
            element = current.get_item(tag)
            _require_value(element)
            value = current[tag].value if _is_sequence(element, tag) else None
            if not isinstance(value, Sequence):
                continue
            if depth == MAX_DEPTH:
                raise _LeftOut(Reason.TOO_DEEP)
            waiting += [(item, depth + 1) for item in value]


def _require_last(dataset: Dataset, size: int) -> None:
    """Refuse a file cut within the few bytes that begin an element: pydicom takes that for the end."""
    for tag in list(dataset.keys())[-1:]:
        element: Any = dataset.get_item(tag)
        sized = isinstance(element, RawDataElement) and element.length != _UNDEFINED_LENGTH
        if sized and element.value_tell + element.length != size:
            raise _LeftOut(Reason.BROKEN)


def _require_value(element: Any) -> None:
    if isinstance(element, RawDataElement) and element.length not in (_UNDEFINED_LENGTH, len(element.value or b"")):
        raise _LeftOut(Reason.BROKEN)


def _is_sequence(element: Any, tag: BaseTag) -> bool:
    vr: str | None = element.VR
    if vr is None:
        try:
            vr = dictionary_VR(tag)
        except KeyError:
            return False
    return vr == "SQ"


def _require_pixels(dataset: FileDataset, pixels: _Pixels, syntax: str) -> None:
    """Refuse native pixels fewer than declared."""
    if not pixels.found or syntax not in NATIVE:
        return
    bits = _number(dataset, "Rows") * _number(dataset, "Columns") * _number(dataset, "BitsAllocated")
    bits *= max(1, _number(dataset, "SamplesPerPixel")) * max(1, _number(dataset, "NumberOfFrames"))
    if dataset.get("PhotometricInterpretation") == "YBR_FULL_422":
        bits = bits * 2 // 3
    if bits // 8 > pixels.length:
        raise _LeftOut(Reason.BROKEN)


def _require_end(file: BinaryIO, pixels: _Pixels, size: int) -> None:
    """Refuse a file that ends within its pixel data; `file` stands at the pixel data element."""
    file.seek(pixels.header, 1)
    if pixels.length != _UNDEFINED_LENGTH:
        if file.tell() + pixels.length > size:
            raise _LeftOut(Reason.BROKEN)
        return
    while (head := file.read(8))[:4] == _ITEM:
        file.seek(int.from_bytes(head[4:], "little"), 1)
    if head[:4] != _END_OF_ITEMS:
        raise _LeftOut(Reason.BROKEN)


def _facts(dataset: FileDataset, meta: Dataset, syntax: str) -> Parsed:
    study, series, instance = (
        uid(dataset.get(name)) for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    )
    for present, reason in (
        (study, Reason.NO_STUDY_UID),
        (series, Reason.NO_SERIES_UID),
        (instance, Reason.NO_INSTANCE_UID),
    ):
        if not present:
            raise _LeftOut(reason)
    return Parsed(
        study=study,
        series=series,
        instance=instance,
        sop_class=uid(dataset.get("SOPClassUID")) or uid(meta.get("MediaStorageSOPClassUID")),
        transfer_syntax=uid(syntax),
        modality=code(dataset.get("Modality")),
        body_part=code(dataset.get("BodyPartExamined")),
        rows=_number(dataset, "Rows"),
        columns=_number(dataset, "Columns"),
        has_private=any(tag.is_private for tag in dataset.keys()),  # noqa: SIM118
    )


def _number(dataset: Dataset, name: str) -> int:
    """A count of the header, 0 when absent or odd; at most 2^31 so that it fits every column."""
    try:
        return min(max(0, int(dataset.get(name) or 0)), 2**31 - 1)
    except (TypeError, ValueError):
        return 0
