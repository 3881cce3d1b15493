"""The second look: does any of the raw file's own identifying strings still stand in what was written?

It shares no rule with the de-identification: it reads the written bytes again, element by element and as plain bytes
in four encodings, and names the tag of a hit, never the value (gate H1).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydicom import dcmread
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from marketplace.governance.profile import name_of

REASON = "identifier_left"
BYTES = "bytes"

_ID_KEYWORDS = (
    "PatientID",
    "OtherPatientIDs",
    "AccessionNumber",
    "StudyID",
    "AdmissionID",
    "PatientAddress",
    "PatientTelephoneNumbers",
    "InstitutionName",
    "InstitutionAddress",
    "InstitutionalDepartmentName",
    "DeviceSerialNumber",
    "StationName",
    "MedicalRecordLocator",
    "IssuerOfPatientID",
    "CountryOfResidence",
    "RegionOfResidence",
    "MilitaryRank",
    "RequestedProcedureID",
    "ScheduledProcedureStepID",
    "PerformedProcedureStepID",
    "FillerOrderNumberImagingServiceRequest",
    "PlacerOrderNumberImagingServiceRequest",
    "ServiceEpisodeID",
    "IssuerOfAdmissionID",
    "ClinicalTrialSubjectID",
    "PatientBirthName",
    "PatientMotherBirthName",
    "ReferringPhysicianTelephoneNumbers",
    "DetectorID",
    "PlateID",
)
_TEXT_VRS = frozenset({"LO", "SH", "LT", "ST", "UT", "UC", "UR", "PN", "CS", "AE", "AS", "UI"})
_BINARY_VRS = frozenset({"US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT", "US or SS"})
_DELIMITERS = {13, 10, 9, 12, ord("\\"), ord("^"), ord("=")}
_LONGEST = 1 << 16
_DATE_VRS = frozenset({"DA", "DT", "TM"})
_ENCODINGS = ("utf-8", "gb18030", "utf-16-le", "utf-16-be")
_STANDARD_UIDS = "1.2.840.10008."
_KEYED_UID = re.compile(r"2\.25\.\d{30,39}")
_KEYED_UID_BYTES = re.compile(rb"2\.25\.\d{30,39}")
_WORD = re.compile(r"\w+")
# Chinese mobile numbers, resident identity numbers (GB 11643), e-mail addresses.
_PATTERNS = re.compile(
    rb"(?<!\d)1[3-9]\d{9}(?!\d)|(?<!\d)[1-9]\d{5}(?:19|20)\d{9}[\dXx](?!\d)|[\w.+-]{2,40}@[\w-]{1,40}\.[\w.-]{2,20}"
)
# Terms that the standard itself defines for an element; a patient called Hu does not stand in "Hounsfield units".
_RESCALE_TYPES = frozenset({"HU", "US", "OD", "HU_MOD", "MGML", "Z_EFF", "ED", "EDW", "PCT", "UNSPECIFIED"})
_DEFINED_TERMS = {0x00281054: _RESCALE_TYPES}
_SHORTEST_ID = 4
_SHORTEST_SUBSTRING = 8


@dataclass
class _Strings:
    """What identifies: names (parts of at least two characters), ids, dates, UIDs, and the value of each dated tag."""

    words: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    uids: set[str] = field(default_factory=set)
    dates: set[str] = field(default_factory=set)
    dated: dict[int, str] = field(default_factory=dict)


def find(raw: Dataset, header: bytes) -> str | None:
    """The tag of the first element of the written header that holds an identifier, `bytes` when only the bytes do.

    raw: the source dataset; header: written bytes up to the pixel element.
    """
    strings = _collect(raw)
    written = dcmread(io.BytesIO(header), force=True)
    moved: set[str] = set()
    for dataset in (written.file_meta, written):
        for tag, vr, text in _walk(dataset):
            if vr in _DATE_VRS:
                if text and vr != "TM" and strings.dated.get(tag) == text:
                    return name_of(tag)
                moved.update(re.findall(r"\d{8}", text))
            elif text not in _DEFINED_TERMS.get(tag, ()) and _identifies(strings, vr, text):
                return name_of(tag)
    return BYTES if _in_bytes(strings, _KEYED_UID_BYTES.sub(b"", header), moved) else None


def find_in_compressed(raw: Dataset, file: Any, start: int, end: int) -> str | None:
    """`7FE0,0010` when a compressed stream carries an identifier, e.g. in a JPEG comment."""
    strings = _collect(raw)
    needles = [text.encode() for text in strings.texts | strings.uids if len(text) >= _SHORTEST_SUBSTRING]
    file.seek(start)
    content: bytes = file.read(end - start)
    return "7FE0,0010" if any(needle in content for needle in needles) else None


def _collect(raw: Dataset) -> _Strings:
    strings = _Strings()
    for tag, vr, text in _walk(raw, names=strings.words):
        if vr == "UI":
            strings.uids.update(uid for uid in text.split("\\") if uid and not uid.startswith(_STANDARD_UIDS))
        elif vr in {"DA", "DT"}:
            strings.dates.update(re.findall(r"\d{8}", text))
            strings.dated.setdefault(tag, text)
        elif vr != "PN":
            found = _PATTERNS.findall(text.encode())
            strings.texts.update(one.decode() for one in found)
    for keyword in _ID_KEYWORDS:
        value = raw.get(keyword)
        if value is not None and not isinstance(value, (list, tuple)) and not hasattr(value, "append"):
            _add_id(strings, str(value).strip())
    return strings


def _add_id(strings: _Strings, text: str) -> None:
    if len(text) < (_SHORTEST_ID if text.isascii() else 2):
        return
    strings.texts.add(text)
    if _WORD.fullmatch(text):
        strings.words.add(text.lower())


def _walk(dataset: Dataset, names: set[str] | None = None) -> Iterator[tuple[int, str, str]]:
    """Tag, VR and text of every element, nested ones and private ones included.

    Works on raw values: decoding each element into an object would take longer than everything else together.
    """
    encodings = convert_encodings(dataset.get("SpecificCharacterSet") or "ISO_IR 6")
    for tag in dataset.keys():  # noqa: SIM118 - iterating the dataset itself would decode every element
        element = dataset.get_item(tag)
        vr = str(element.VR or _dictionary_vr(tag))
        if vr == "SQ" or (vr == "UN" and not isinstance(element, RawDataElement)):
            for item in _items(dataset, tag):
                yield from _walk(item, names)
            continue
        text = _text(element.value, vr, encodings)
        if not text:
            continue
        if vr == "PN" and names is not None:
            names.update(part.lower() for part in _WORD.findall(text) if len(part) > 1 and not part.isdigit())
        yield int(tag), vr, text


def _items(dataset: Dataset, tag: Any) -> Sequence[Dataset]:
    value = dataset[tag].value
    return value if isinstance(value, DicomSequence) else ()


def _text(value: Any, vr: str, encodings: list[str]) -> str:
    if value is None or vr in _BINARY_VRS:
        return ""
    if not isinstance(value, bytes):
        many = isinstance(value, (list, tuple)) or hasattr(value, "append")
        return "\\".join(str(one) for one in (value if many else (value,))).strip()
    value = value[:_LONGEST].strip(b" \0")
    if value.isascii():
        return str(value.decode("ascii"))
    if vr in _TEXT_VRS:
        return str(decode_bytes(value, encodings, _DELIMITERS))
    return str(value.decode("utf-8", "replace"))


def _dictionary_vr(tag: Any) -> str:
    try:
        return str(dictionary_VR(tag))
    except KeyError:
        return "UN"


def _identifies(strings: _Strings, vr: str, text: str) -> bool:
    if not text:
        return False
    if vr == "UI":
        return any(uid in strings.uids for uid in text.split("\\"))
    if vr in _TEXT_VRS:
        plain = _KEYED_UID.sub("", text)
        if {word.lower() for word in _WORD.findall(plain)} & strings.words:
            return True
        # Chinese has no word breaks: a name is looked for inside the text.
        if any(not word.isascii() and word in plain for word in strings.words):
            return True
    elif len(text) < _SHORTEST_SUBSTRING:
        return False
    return _holds(strings, text)


def _holds(strings: _Strings, text: str) -> bool:
    if any(date in text for date in strings.dates) and not _KEYED_UID.fullmatch(text):
        return True
    return any(one in text for one in strings.texts if len(one) >= _SHORTEST_SUBSTRING or not one.isascii())


def _in_bytes(strings: _Strings, header: bytes, moved: set[str]) -> bool:
    plain = {word for word in strings.words if not word.isascii()}
    plain |= {one for one in strings.texts if len(one) >= _SHORTEST_SUBSTRING or not one.isascii()}
    plain |= strings.uids | (strings.dates - moved)
    needles = {word.encode(encoding, "ignore") for word in plain for encoding in _ENCODINGS}
    return any(needle and needle in header for needle in needles)
