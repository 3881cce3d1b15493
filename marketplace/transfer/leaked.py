"""What a file that turned up somewhere says of where it came from: pure, run in resource-limited children.

The file is anybody's: it may be cut, changed or made up.  Everything told of it is a checked identifier or a hash.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from marketplace.governance.deidentify import pixels_of
from marketplace.transfer.marks import Mark, read_marks

TEXT_BYTES: Final = 1 << 20
_MOST: Final = 4096
_UID: Final = re.compile(r"2\.25\.\d{1,39}")
_PERSON: Final = re.compile(r"P[0-9a-f]{15}")
_NAMED: Final = re.compile(r"per agreement (\w{1,64})")


@dataclass(frozen=True)
class Leaked:
    """The clues in one file.

    kind: `dicom` or `other`; study, series, instance: its UIDs, empty where there are none of our form; uids: every
    such UID anywhere in it; persons: pseudonyms of an agreement's form; marks: as they say of themselves; named: those
    that De-identification Method speaks of; pixels: hash over shape and pixel bytes, empty where there are none.
    """

    kind: str
    study: str = ""
    series: str = ""
    instance: str = ""
    uids: tuple[str, ...] = ()
    persons: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()
    named: tuple[str, ...] = ()
    pixels: str = ""


def read_leaked(path: str) -> Leaked:
    """The clues in a file; one that is no DICOM is read as text.  Raises whatever pydicom raises for a broken one."""
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
    except InvalidDicomError:
        with Path(path).open("rb") as file:
            text = file.read(TEXT_BYTES).decode("utf-8", "replace")
        return Leaked("other", uids=_once(_UID.findall(text)), marks=tuple(read_marks(text))[:_MOST])
    texts = list(_texts(dataset))
    return Leaked(
        "dicom",
        study=_uid(dataset, "StudyInstanceUID"),
        series=_uid(dataset, "SeriesInstanceUID"),
        instance=_uid(dataset, "SOPInstanceUID"),
        uids=_once(one for one in texts if _UID.fullmatch(one)),
        persons=_once(one for one in texts if _PERSON.fullmatch(one)),
        marks=tuple(dict.fromkeys(mark for one in texts for mark in read_marks(one))),
        named=_once(found for one in texts for found in _NAMED.findall(one)),
        pixels=pixels_of(path),
    )


def _texts(dataset: Dataset) -> Iterator[str]:
    """Every text value at every depth, as far as there is a reasonable number."""
    for number, element in enumerate(dataset.iterall()):
        if number == _MOST:
            return
        if element.VR != "SQ" and element.VR not in {"OB", "OW", "UN", "OF", "OD"}:
            yield from _values(element.value)


def _values(value: Any) -> Iterator[str]:
    many = isinstance(value, (list, tuple)) or (hasattr(value, "append") and not isinstance(value, str))
    for one in value if many else (value,):
        yield str(one)


def _uid(dataset: Dataset, keyword: str) -> str:
    text = str(dataset.get(keyword, ""))
    return text if _UID.fullmatch(text) else ""


def _once(items: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))[:_MOST]
