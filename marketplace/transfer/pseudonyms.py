"""Pseudonyms made anew for one agreement: pure, run in resource-limited children, the same input gives the same bytes.

Two buyers of one version thus hold files with no identifier in common, and a leaked file names its agreement.
"""

from __future__ import annotations

import hmac
from typing import Any

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


def pseudonymise(dataset: Dataset, secret: bytes, agreement: str) -> None:
    """Give a file the identifiers of one agreement, and say so in it.  secret: the agreement's key."""
    for element in dataset.iterall():
        if element.VR == "UI" and element.keyword not in _KINDS and element.value:
            element.value = _each(element.value, secret)
    for keyword in _NAMES:
        if value := str(dataset.get(keyword) or ""):
            setattr(dataset, keyword, new_name(secret, value))
    _say(dataset, agreement)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID


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


def _say(dataset: Dataset, agreement: str) -> None:
    given = dataset.get("DeidentificationMethod")
    earlier = [given] if isinstance(given, str) else list(given or [])
    dataset.DeidentificationMethod = [*(one for one in earlier if one), f"per agreement {agreement}"]
