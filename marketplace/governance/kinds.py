"""Which files are held back for what they may show: burned-in text and faces, until a later stage can handle them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from marketplace.governance.profile import Profile

HEAD_NEEDS_DECLARATION = "head_needs_declaration"
BURNED_IN = "may_carry_burned_in_text"
_FACED_MODALITIES = frozenset({"CT", "MR"})
_HINT_ELEMENTS = (
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "RequestedProcedureDescription",
    "PerformedProcedureStepDescription",
    "ImageComments",
    "AcquisitionProtocolDescription",
)


def reason_to_hold_back(dataset: Any, profile: Profile, *, faces_declared: bool) -> str | None:
    """A reason code, or None when the file's kind may be governed.

    faces_declared: the provider has signed the face declaration of this raw version.
    """
    kind = profile.kinds.get(_text(dataset, "SOPClassUID"))
    if kind is None:
        return "kind_not_supported" if _text(dataset, "SOPClassUID") else "not_an_image_object"
    if kind.reason is not None:
        return kind.reason
    if _may_carry_text(dataset, profile):
        return BURNED_IN
    if not faces_declared and _may_show_face(dataset, profile, kind.keyword):
        return HEAD_NEEDS_DECLARATION
    return None


def _may_carry_text(dataset: Any, profile: Profile) -> bool:
    if _text(dataset, "BurnedInAnnotation").upper() not in {"", "NO"}:
        return True
    if _text(dataset, "ConversionType").upper() not in {"", "DI"}:
        return True
    words = {str(word).strip().upper() for word in _values(dataset, "ImageType")}
    return bool(words & profile.screen_words)


def _may_show_face(dataset: Any, profile: Profile, keyword: str) -> bool:
    modality = _text(dataset, "Modality").upper()
    if modality not in _FACED_MODALITIES and not any(f"{name}Image" in keyword for name in _FACED_MODALITIES):
        return False
    if _text(dataset, "RecognizableVisualFeatures").upper() == "YES":
        return True
    part = _text(dataset, "BodyPartExamined").upper().replace(" ", "").replace("_", "")
    if part not in profile.parts_without_face:
        return True
    return any(profile.head_hints.search(_text(dataset, name)) for name in _HINT_ELEMENTS)


def _text(dataset: Any, keyword: str) -> str:
    return " ".join(str(value) for value in _values(dataset, keyword)).strip()


def _values(dataset: Any, keyword: str) -> Iterable[Any]:
    value = dataset.get(keyword)
    if value is None:
        return ()
    return value if isinstance(value, (list, tuple)) or hasattr(value, "append") else (value,)
