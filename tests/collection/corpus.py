"""Files as they arrive: good, broken and hostile ones, and tars that hold them."""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Iterable
from struct import pack

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

DEFLATED = ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")


def dataset(number: int = 1, study: str = "1.2.3", **changed: object) -> Dataset:
    found = Dataset()
    found.SpecificCharacterSet = "ISO_IR 192"
    found.SOPClassUID = CTImageStorage
    found.SOPInstanceUID = f"1.2.3.4.{number}"
    found.StudyInstanceUID = study
    found.SeriesInstanceUID = f"{study}.1"
    found.Modality = "CT"
    found.BodyPartExamined = "CHEST"
    found.PatientName = "Zhang^Wei=张伟"
    found.Rows = found.Columns = 16
    found.SamplesPerPixel, found.BitsAllocated = 1, 16
    found.PixelData = bytes([number % 256]) * 512
    for name, value in changed.items():
        if value is None:
            delattr(found, name)
        else:
            setattr(found, name, value)
    return found


def dicom(number: int = 1, study: str = "1.2.3", **changed: object) -> bytes:
    return written(dataset(number, study, **changed))


def written(found: Dataset) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = found.get("SOPInstanceUID", "1.2.3.4")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found.file_meta = meta
    buffer = io.BytesIO()
    found.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    if vr in {b"OB", b"OW", b"SQ", b"UN"}:
        return pack("<HH2sHI", group, number, vr, 0, len(value)) + value
    return pack("<HH2sH", group, number, vr, len(value)) + value


def with_meta(syntax: str, body: bytes, sop_class: bytes = b"1.2.840.10008.5.1.4.1.1.2") -> bytes:
    meta = element(2, 2, b"UI", sop_class) + element(2, 0x10, b"UI", syntax.encode())
    return b"\0" * 128 + b"DICM" + element(2, 0, b"UL", pack("<I", len(meta))) + meta + body


def bomb(syntax: str, mib: int = 256) -> bytes:
    """A small deflated file that inflates to `mib` MiB of an element before the pixels."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = element(8, 0x18, b"UI", b"1.2.3") + pack("<HH2sHI", 0x42, 0x11, b"OB", 0, mib << 20)
    body = deflate.compress(head)
    for _ in range(mib):
        body += deflate.compress(bytes(1 << 20))
    return with_meta(syntax, body + deflate.flush())


def nested(depth: int, *, defined_length: bool) -> bytes:
    """Sequences within sequences; with undefined lengths pydicom recurses while reading."""
    if defined_length:
        inner = Dataset()
        inner.CodeValue = "x"
        for _ in range(depth):
            outer = Dataset()
            outer.ConceptNameCodeSequence = Sequence([inner])
            inner = outer
        return dicom(1, ConceptNameCodeSequence=Sequence([inner]))
    opening = pack("<HH2sHI", 0x40, 0xA043, b"SQ", 0, 0xFFFFFFFF) + pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    closing = pack("<HHI", 0xFFFE, 0xE00D, 0) + pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return with_meta(ExplicitVRLittleEndian, opening * depth + closing * depth)


def crowded(elements: int) -> bytes:
    """Very many tiny private elements."""
    tiny = b"".join(element(0x11 + 2 * (n // 0xE000), 0x1000 + n % 0xE000, b"SH", b"") for n in range(elements))
    return with_meta(ExplicitVRLittleEndian, tiny)


def encapsulated(*, cut: bool) -> bytes:
    """A JPEG file of one fragment, whole or cut within it."""
    items = pack("<HHI", 0xFFFE, 0xE000, 0) + pack("<HHI", 0xFFFE, 0xE000, 600) + b"j" * 600
    items += pack("<HHI", 0xFFFE, 0xE0DD, 0)
    head = element(8, 0x16, b"UI", b"1.2.840.10008.5.1.4.1.1.2") + element(8, 0x18, b"UI", b"1.2.3.4")
    head += element(0x20, 0xD, b"UI", b"1.2.3") + element(0x20, 0xE, b"UI", b"1.2.3.1")
    pixels = pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF) + items
    return with_meta("1.2.840.10008.1.2.4.50", head + (pixels[:300] if cut else pixels))


def tar(members: Iterable[tuple[str, bytes] | tarfile.TarInfo], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as target:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                target.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            target.addfile(info, io.BytesIO(member[1]))
    return buffer.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info
