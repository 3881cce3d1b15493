"""One raw file in, one governed header out: a pure function for the sandbox's child processes.

Only the header is rewritten.  The pixel element is cited as a byte range of the raw file, so it is bit-identical and
never copied through the child's memory.  Nothing gets through on an error: it raises, the pool makes that a Failure,
and the file is held back.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import config, dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from marketplace.governance import leaks, pixels
from marketplace.governance.elements import CHARACTER_SET, Cleaner
from marketplace.governance.facts import Facts, read_facts
from marketplace.governance.kinds import reason_to_hold_back
from marketplace.governance.profile import METHOD_CODES, Profile, load
from marketplace.governance.pseudonyms import Pseudonyms

# A UUID (RFC 9562) as UID, fixed for this implementation.
IMPLEMENTATION_UID = UID("2.25.217064826183310263478901355260184421760")
IMPLEMENTATION_NAME = "MEDICAL_MKT_1"
METHOD = "PS3.15 Basic Profile; dates shifted; allow-list"

GOVERNED = "governed"
HELD_BACK = "held_back"
_IDENTIFYING_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


@dataclass(frozen=True)
class Task:
    """path: local raw file; secret: the asset's key; faces_declared: a signed face declaration is on file."""

    path: str
    secret: bytes = field(repr=False)
    faces_declared: bool


@dataclass(frozen=True)
class Done:
    """What became of one file.

    outcome: `governed` or `held_back`; reason: code, when held back; tag: where a leak was found, never the value.
    header: bytes up to the pixel element; pixels: (start, end) in the raw file that follow the header, None when the
    header holds the whole file.  path: `<study>/<series>/<instance>.dcm` of the new UIDs.
    pixel_sha256: over shape and pixel bytes, for duplicates; actions: elements by action code.
    """

    outcome: str
    reason: str | None = None
    tag: str | None = None
    header: bytes = b""
    pixels: tuple[int, int] | None = None
    path: str = ""
    study: str = ""
    pixel_sha256: str = ""
    facts: Facts | None = None
    actions: dict[str, int] = field(default_factory=dict)


def deidentify(task: Task) -> Done:
    """Apply the profile to one file.  Raises on anything unreadable; the caller holds the file back."""
    with warnings.catch_warnings():
        # Broken values of foreign files warn; what is not understood is dropped anyway.
        warnings.simplefilter("ignore")
        config.settings.reading_validation_mode = config.IGNORE
        with Path(task.path).open("rb") as file:
            return _govern(file, task, load())


def pixels_of(path: str) -> str:
    """The hash over shape and pixel bytes (`Done.pixel_sha256`) of any file; empty without pixels.

    It stays the same when the header changes, and does not when the pixels are written in another way.
    """
    with Path(path).open("rb") as file:
        raw = dcmread(file, force=True, stop_before_pixels=True)
        deflated = getattr(raw.file_meta, "TransferSyntaxUID", None) == DeflatedExplicitVRLittleEndian
        place = pixels.inflated(path) if deflated else pixels.locate(file, raw)
        return "" if isinstance(place, str) else _fingerprint(raw, place, file)


def _govern(file: Any, task: Task, profile: Profile) -> Done:
    raw = dcmread(file, force=True, stop_before_pixels=True)
    reason = reason_to_hold_back(raw, profile, faces_declared=task.faces_declared)
    if reason is not None:
        return Done(HELD_BACK, reason)
    if not all(str(raw.get(name) or "") for name in _IDENTIFYING_UIDS):
        return Done(HELD_BACK, "identity_incomplete")
    syntax = getattr(raw.file_meta, "TransferSyntaxUID", None)
    if syntax is None:
        return Done(HELD_BACK, "transfer_syntax_missing")
    deflated = syntax == DeflatedExplicitVRLittleEndian
    place = pixels.inflated(task.path) if deflated else pixels.locate(file, raw)
    if isinstance(place, str):
        return Done(HELD_BACK, place)
    return _rewrite(file, raw, place, Cleaner(profile, Pseudonyms(task.secret, _patient(raw))), syntax)


def _rewrite(file: Any, raw: Dataset, place: pixels.Place, cleaner: Cleaner, syntax: UID) -> Done:
    names = cleaner.pseudonyms
    study, series, instance = (names.uid(str(raw[name].value)) for name in _IDENTIFYING_UIDS)
    clean = cleaner.clean(raw)
    _mark(clean, names)
    if place.element is not None:
        clean[pixels.PIXEL_DATA] = place.element
    header = _written(clean, instance, syntax if place.element is None else ExplicitVRLittleEndian)

    leak = leaks.find(raw, header[: len(header) - len(place.content)])
    if leak is None and place.encapsulated:
        leak = leaks.find_in_compressed(raw, file, place.start, place.end)
    if leak is not None:
        return Done(HELD_BACK, leaks.REASON, tag=leak, actions=dict(cleaner.counts))
    return Done(
        GOVERNED,
        header=header,
        pixels=(place.start, place.end) if place.element is None else None,
        path=f"{study}/{series}/{instance}.dcm",
        study=study,
        pixel_sha256=_fingerprint(raw, place, file),
        facts=read_facts(raw, names.code),
        actions=dict(cleaner.counts),
    )


def _patient(raw: Dataset) -> str:
    """What tells patients apart within an asset: the id; without one every study is a patient of its own."""
    return str(raw.get("PatientID") or "").strip() or f"\0{raw.StudyInstanceUID}"


def _mark(clean: Dataset, names: Pseudonyms) -> None:
    clean.SpecificCharacterSet = CHARACTER_SET
    clean.PatientID = names.code
    clean.PatientName = names.code
    clean.PatientIdentityRemoved = "YES"
    clean.DeidentificationMethod = METHOD
    clean.DeidentificationMethodCodeSequence = Sequence([_code(value, meaning) for value, meaning in METHOD_CODES])
    clean.LongitudinalTemporalInformationModified = "MODIFIED"


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = "DCM"
    item.CodeMeaning = meaning
    return item


def _written(clean: Dataset, instance: str, syntax: Any) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = clean.SOPClassUID
    meta.MediaStorageSOPInstanceUID = UID(instance)
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = IMPLEMENTATION_NAME
    clean.file_meta = meta
    clean.preamble = bytes(128)
    buffer = io.BytesIO()
    dcmwrite(buffer, clean, enforce_file_format=True, overwrite=True)
    return buffer.getvalue()


def _fingerprint(raw: Dataset, place: pixels.Place, file: Any) -> str:
    shape = [str(raw.get(name) or "") for name in ("Rows", "Columns", "NumberOfFrames", "BitsAllocated")]
    running = hashlib.sha256("|".join(shape).encode())
    for chunk in place.chunks(file):
        running.update(chunk)
    return running.hexdigest()
