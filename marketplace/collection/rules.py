"""What is left out and why, and which of several copies counts: pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_CODE = re.compile(r"[A-Z0-9_]{1,16}( [A-Z0-9_]{1,15})*")
GIGABYTE = 10**9
"""Bytes kept that count as one in the costs of collection; a part of one does not count."""
_LONGEST_UID = 64
_LONGEST_CODE = 16
# Only these endings are kept: anything else in a name could be part of a patient's name.
_KNOWN_ENDINGS = frozenset(
    ("dcm", "ima", "img", "dic", "txt", "pdf", "jpg", "jpeg", "png", "bmp", "tif", "tiff", "zip", "gz", "tar", "xml")
)


class Reason(StrEnum):
    """Why a file is left out of a version."""

    NOT_DICOM = "not_dicom"
    BROKEN = "broken"
    INFLATES_TOO_FAR = "inflates_too_far"
    TOO_DEEP = "too_deep"
    TOO_MANY_ELEMENTS = "too_many_elements"
    NO_STUDY_UID = "no_study_uid"
    NO_SERIES_UID = "no_series_uid"
    NO_INSTANCE_UID = "no_instance_uid"
    DICOMDIR = "dicomdir"
    DUPLICATE_BYTES = "duplicate_bytes"
    DUPLICATE_INSTANCE = "duplicate_instance"
    TIME_LIMIT = "time_limit"
    MEMORY_LIMIT = "memory_limit"
    LINK = "link"
    NOT_A_FILE = "not_a_file"
    ODD_NAME = "odd_name"
    TOO_LARGE = "too_large"
    CONSENT_WITHDRAWN = "consent_withdrawn"


@dataclass(frozen=True)
class Copy:
    """A received file as far as sameness goes.  key: (batch, position), the order of receipt."""

    key: tuple[str, int]
    sha256: str
    instance: str


def uid(text: object) -> str:
    """A DICOM UID that may become part of a path (PS3.5 section 9.1; leading zeros tolerated), else empty."""
    value = str(text or "").rstrip("\0 ")
    return value if len(value) <= _LONGEST_UID and _UID.fullmatch(value) else ""


def code(text: object) -> str:
    """A DICOM code string (PS3.5, VR CS), else empty: free text in its place could name a person."""
    value = str(text or "").strip()
    return value if len(value) <= _LONGEST_CODE and _CODE.fullmatch(value) else ""


def label(name: str, sha256: str) -> str:
    """What is kept of a file's name, since hospitals put patients' names there: start of the hash, known ending."""
    ending = name.rpartition(".")[2].lower() if "." in name else ""
    return f"{sha256[:12]}.{ending}" if ending in _KNOWN_ENDINGS else sha256[:12]


def repeated(copies: Iterable[Copy]) -> dict[tuple[str, int], Reason]:
    """Which copies repeat an earlier one, by bytes or by SOP Instance UID; the first by (batch, position) counts."""
    hashes: set[str] = set()
    instances: set[str] = set()
    found: dict[tuple[str, int], Reason] = {}
    for copy in sorted(copies, key=lambda copy: copy.key):
        if copy.sha256 in hashes:
            found[copy.key] = Reason.DUPLICATE_BYTES
        elif copy.instance in instances:
            found[copy.key] = Reason.DUPLICATE_INSTANCE
        hashes.add(copy.sha256)
        instances.add(copy.instance)
    return found


def counts(reasons: Sequence[str]) -> dict[str, int]:
    """How many were left out by reason, reasons in alphabetical order."""
    return {reason: reasons.count(reason) for reason in sorted(set(reasons))}
