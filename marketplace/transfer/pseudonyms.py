"""Pseudonyms made anew for one agreement: pure, run in resource-limited children, the same input gives the same bytes.

Two buyers of one version thus hold files with no identifier in common, and a leaked file names its agreement.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID

# UIDs with these keywords name kinds of things, not instances.
_KINDS = frozenset(
    {
        "SOPClassUID",
        "ReferencedSOPClassUID",
        "MediaStorageSOPClassUID",
        "TransferSyntaxUID",
        "ImplementationClassUID",
        "CodingSchemeUID",
        "ContextUID",
        "MappingResourceUID",
        "RelatedGeneralSOPClassUID",
        "OriginalSpecializedSOPClassUID",
    }
)
_STANDARD_ROOT = "1.2.840.10008."
_NAMES = ("PatientID", "PatientName", "StudyID", "AccessionNumber")


@dataclass(frozen=True)
class Job:
    """One DICOM file.  source: local file; secret: of the agreement; mark: its id, written into the file."""

    source: str
    secret: bytes
    mark: str


@dataclass(frozen=True)
class Remade:
    """The file as it is delivered.  path: `<study>/<series>/<instance>.dcm` from the new UIDs."""

    path: str
    body: bytes


def pseudonymise(job: Job) -> Remade:
    """Remake one file.  Raises whatever pydicom raises for a file it cannot read."""
    dataset = pydicom.dcmread(job.source)
    for element in dataset.iterall():
        if element.VR == "UI" and element.keyword not in _KINDS and element.value:
            element.value = _each(element.value, job.secret)
    for keyword in _NAMES:
        if value := str(dataset.get(keyword, "")):
            setattr(dataset, keyword, new_name(job.secret, value))
    _mark(dataset, job.mark)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.preamble = b"\0" * 128
    out = BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    path = f"{dataset.StudyInstanceUID}/{dataset.SeriesInstanceUID}/{dataset.SOPInstanceUID}.dcm"
    return Remade(path, out.getvalue())


def new_uid(secret: bytes, uid: str) -> str:
    """The UID that stands for another under one agreement (PS3.5 annex B.2, `2.25.`)."""
    return f"2.25.{int.from_bytes(hmac.digest(secret, b'uid/' + uid.encode(), 'sha256')[:16])}"


def new_name(secret: bytes, value: str) -> str:
    """The pseudonym of an identifier: 16 characters, fits every text kind used here."""
    return "P" + hmac.digest(secret, b"name/" + value.encode(), "sha256").hex()[:15]


def _each(value: Any, secret: bytes) -> Any:
    if isinstance(value, str):
        return value if value.startswith(_STANDARD_ROOT) else UID(new_uid(secret, value))
    return [_each(one, secret) for one in value]


def _mark(dataset: Dataset, mark: str) -> None:
    given = dataset.get("DeidentificationMethod")
    earlier = [given] if isinstance(given, str) else list(given or [])
    dataset.DeidentificationMethod = [*(one for one in earlier if one), f"per agreement {mark}"]
