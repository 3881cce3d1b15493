"""What the quality card is counted from: technical values and coarse patient facts of one file, no identifier."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset

from marketplace.governance.profile import load

KEY_ELEMENTS = (
    "Modality",
    "Manufacturer",
    "BodyPartExamined",
    "PatientSex",
    "PatientAge",
    "StudyDate",
    "Rows",
    "Columns",
    "PixelSpacing",
    "SliceThickness",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "RescaleSlope",
    "RescaleIntercept",
)
AGE_BANDS = ("0-17", "18-39", "40-59", "60-74", "75-89", "90+")
_UPPER_YEARS = (17, 39, 59, 74, 89)
_DECIMAL = re.compile(r"[+-]?\d{1,8}(\.\d{1,8})?")


@dataclass(frozen=True)
class Facts:
    """modality, manufacturer, body_part: words of the allow-list or empty; patient: pseudonym; month: months since
    year 0 of the unshifted study date, only ever published as a span; spacing, thickness: decimal text;
    present: names of the key elements that hold a value."""

    modality: str
    manufacturer: str
    body_part: str
    patient: str
    sex: str
    age_band: str
    month: int | None
    thickness: str
    spacing: str
    present: tuple[str, ...]


def read_facts(raw: Dataset, patient: str) -> Facts:
    """The facts of one raw header."""
    words = load().words
    sex = _text(raw, "PatientSex")
    spacing = _text(raw, "PixelSpacing").split("\\")[0]
    return Facts(
        modality=_word(raw, "Modality", words["modality"]),
        manufacturer=_word(raw, "Manufacturer", words["manufacturer"]),
        body_part=_word(raw, "BodyPartExamined", words["body_part"]),
        patient=patient,
        sex=sex if sex in {"M", "F", "O"} else "",
        age_band=_age_band(_text(raw, "PatientAge")),
        month=_month(_text(raw, "StudyDate")),
        thickness=_decimal(_text(raw, "SliceThickness")),
        spacing=_decimal(spacing),
        present=tuple(name for name in KEY_ELEMENTS if _text(raw, name)),
    )


def _text(raw: Dataset, keyword: str) -> str:
    value: Any = raw.get(keyword)
    if value is None:
        return ""
    many = isinstance(value, (list, tuple)) or hasattr(value, "append")
    return "\\".join(str(one) for one in (value if many else (value,))).strip()


def _word(raw: Dataset, keyword: str, words: frozenset[str]) -> str:
    text = _text(raw, keyword).upper()
    return text if text in words else ""


def _decimal(text: str) -> str:
    return text if _DECIMAL.fullmatch(text) else ""


def _month(text: str) -> int | None:
    if not re.fullmatch(r"\d{8}", text) or not 1 <= int(text[4:6]) <= 12:
        return None
    return int(text[:4]) * 12 + int(text[4:6]) - 1


def _age_band(text: str) -> str:
    found = re.fullmatch(r"(\d{3})([DWMY])", text)
    if found is None:
        return ""
    years = int(found[1]) if found[2] == "Y" else int(found[1]) // {"D": 365, "W": 52, "M": 12}[found[2]]
    return AGE_BANDS[sum(years > upper for upper in _UPPER_YEARS)]
