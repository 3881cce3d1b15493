"""Applying the profile to one dataset, element by element and through nested sequences.

Elements that stay are judged on their raw bytes and copied; nothing is decoded that is going to be dropped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydicom.charset import convert_encodings, default_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from marketplace.governance.profile import Allowed, Profile
from marketplace.governance.pseudonyms import Pseudonyms

PIXEL_DATA = 0x7FE00010
MAX_DEPTH = 8
DUMMY = "REMOVED"
CHARACTER_SET = "ISO_IR 192"
UNICODE = convert_encodings(CHARACTER_SET)
ASCII = default_encoding
_MOST_VALUES = 64

_SHORT_TEXT = re.compile(rb"[A-Za-z0-9 ._/+,()*\\-]{0,80}")
_LONG_DIGITS = re.compile(rb"\d{6}")
_CODED = re.compile(rb"[A-Z0-9_ \\]*")
_NUMBER = re.compile(rb"[0-9+\-.eE \\]*")
_CODE = re.compile(rb"[A-Za-z0-9.{}/%*^\[\]-]{1,16}")
_AGE = re.compile(r"(\d{3})([DWMY])")
_SIZES = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "UV": 8, "SV": 8, "FL": 4, "FD": 8, "AT": 4}
_TEXT = frozenset({"LO", "SH", "LT", "ST", "UT", "UC", "UR", "PN", "CS", "AE", "AS"})
_MANY = frozenset({"1-n", "2-n", "3-n", "2-2n", "3-3n", "1-n or 1"})


@dataclass
class Cleaner:
    """One file's pass.  counts: actions taken, by code."""

    profile: Profile
    pseudonyms: Pseudonyms
    counts: Counter[str] = field(default_factory=Counter)

    def clean(self, source: Dataset, depth: int = 0) -> Dataset:
        """A new dataset with only what the profile lets through.  Raises ValueError for nesting over MAX_DEPTH."""
        if depth > MAX_DEPTH:
            raise ValueError("sequences nested too deeply")
        target = Dataset()
        for tag in source.keys():  # noqa: SIM118 - iterating a dataset itself would decode every element
            action = self.profile.action(int(tag))
            taken = self._take(source, target, int(tag), action, depth)
            self.counts[taken] += 1
        # The copied raw values are in the source's encoding and plain ASCII: the writer need not decode them again.
        implicit, little = source.original_encoding
        target.set_original_encoding(implicit, little, ASCII if depth else UNICODE)
        return target

    def _take(self, source: Dataset, target: Dataset, tag: int, action: str, depth: int) -> str:
        if action.startswith("X:") or action in {"X", "C"}:
            return action
        if action == "K":
            return self._keep(source, target, tag, depth)
        return self._replace(source, target, tag, action, depth)

    def _keep(self, source: Dataset, target: Dataset, tag: int, depth: int) -> str:
        rule = self.profile.allowed[tag]
        raw = source.get_item(tag)
        vr = raw.VR or _dictionary_vr(tag)
        if vr not in rule.vrs and not (rule.check == "binary" and vr in {"OB", "OW"}) and " or " not in vr:
            return "X:odd_vr"
        if rule.check == "sequence":
            return self._descend(source, target, tag, depth, "K")
        if rule.check == "code_meaning":
            # The meaning is free text; the code says the same, and it was checked.
            value = source.get_item(0x00080100)
            if value is None or not _CODE.fullmatch(_bytes(value)):
                return "X:check"
            target.add(DataElement(tag, "LO", _bytes(value).decode()))
            return "D"
        fits = _fits(rule.vm, vr, raw) if rule.check == "binary_number" else self._passes(rule, _bytes(raw))
        if not fits:
            return "X:check"
        if isinstance(raw, RawDataElement) and raw.value is not None and len(raw.value) % 2:
            raw = raw._replace(value=raw.value + b" ")
        target[tag] = raw
        return "K"

    def _passes(self, rule: Allowed, content: bytes) -> bool:
        check, _, argument = rule.check.partition(":")
        if check == "words":
            return content.decode("ascii", "replace").strip().upper() in self.profile.words[argument]
        if check == "well_known_uid":
            return content.decode("ascii", "replace") in self.profile.kinds
        return _CHECKS[check](content)

    def _replace(self, source: Dataset, target: Dataset, tag: int, action: str, depth: int) -> str:
        vr = _dictionary_vr(tag)
        if vr == "SQ":
            # U*: the items stay with new UIDs inside; for the other codes nothing in them is worth the risk.
            return self._descend(source, target, tag, depth, "U") if action == "X/Z/U*" else "X"
        match action:
            case "C:date":
                return self._shift(source, target, tag, vr)
            case "C:characteristic":
                return self._characteristic(source, target, tag, vr)
            case "U" if vr == "UI":
                return self._rename(source, target, tag)
        return _blank(target, tag, vr, dummy="D" in action)

    def _rename(self, source: Dataset, target: Dataset, tag: int) -> str:
        uids = [uid for uid in _text(source, tag).split("\\") if uid]
        target.add(DataElement(tag, "UI", [self.pseudonyms.uid(uid) for uid in uids] or ""))
        return "U"

    def _shift(self, source: Dataset, target: Dataset, tag: int, vr: str) -> str:
        move: Callable[[str], str] = {
            "DA": self.pseudonyms.date,
            "DT": self.pseudonyms.datetime,
            "TM": self.pseudonyms.time,
        }[vr]
        moved = [move(value.strip()) for value in _text(source, tag).split("\\")]
        target.add(DataElement(tag, vr, [value for value in moved if value] or ""))
        return "C:date" if all(moved) else "Z"

    def _characteristic(self, source: Dataset, target: Dataset, tag: int, vr: str) -> str:
        text = _text(source, tag)
        if vr == "CS":
            text = text if text in {"M", "F", "O"} else ""
        elif vr == "AS":
            text = cap_age(text)
        elif not re.fullmatch(r"\d{1,3}(\.\d{1,3})?", text):
            text = ""
        target.add(DataElement(tag, vr, text))
        return "C:characteristic"

    def _descend(self, source: Dataset, target: Dataset, tag: int, depth: int, taken: str) -> str:
        element = source[tag]
        if element.VR != "SQ":
            return "X:odd_vr"
        items = [self.clean(item, depth + 1) for item in element.value]
        kept = [item for item in items if len(item)]
        if not kept:
            return "X"
        target.add(DataElement(tag, "SQ", Sequence(kept)))
        return taken


def _blank(target: Dataset, tag: int, vr: str, *, dummy: bool) -> str:
    """An empty or dummy value; what can hold neither safely is removed."""
    if dummy and vr in _TEXT - {"AS", "UR"}:
        target.add(DataElement(tag, vr, DUMMY))
        return "D"
    if dummy or vr in {"UI", "OB", "OW", "UN"}:
        return "X"
    target.add(DataElement(tag, vr, "" if vr in _TEXT | {"DA", "TM", "DT"} else None))
    return "Z"


def cap_age(text: str) -> str:
    """An AS value with ages over 89 as `090Y` (HIPAA Safe Harbor); empty when it is not an age."""
    found = _AGE.fullmatch(text)
    if found is None:
        return ""
    days = int(found[1]) * {"D": 1, "W": 7, "M": 30, "Y": 365}[found[2]]
    return "090Y" if days > 89 * 365 else text


def _fits(vm: str, vr: str, raw: Any) -> bool:
    # A short numeric element with a long value is where text hides.
    size = _SIZES.get(vr, 2)
    if not isinstance(raw.value, bytes):
        count = raw.VM
    elif len(raw.value) % size:
        return False
    else:
        count = len(raw.value) // size
    return count in {0, int(vm)} if vm.isdigit() else vm in _MANY or count <= _MOST_VALUES


def _short_text(content: bytes) -> bool:
    return bool(_SHORT_TEXT.fullmatch(content)) and not _LONG_DIGITS.search(content)


_CHECKS: dict[str, Callable[[bytes], bool]] = {
    "short_text": _short_text,
    "coded": lambda content: bool(_CODED.fullmatch(content)) and not _LONG_DIGITS.search(content),
    "number": lambda content: bool(_NUMBER.fullmatch(content)),
    "code": lambda content: bool(_CODE.fullmatch(content)),
    "binary": lambda content: len(content) % 2 == 0,
}


def _bytes(raw: Any) -> bytes:
    """The element's value bytes without padding; a value pydicom has already decoded becomes text again."""
    value = raw.value
    if value is None:
        return b""
    if not isinstance(value, bytes):
        many = isinstance(value, (list, tuple)) or hasattr(value, "append")
        value = "\\".join(str(one) for one in (value if many else (value,))).encode()
    vr = raw.VR
    return value if vr in _SIZES or vr in {"OB", "OW", "US or SS"} else value.strip(b" \0")


def _text(source: Dataset, tag: int) -> str:
    return _bytes(source.get_item(tag)).decode("ascii", "replace").strip(" \0")


def _dictionary_vr(tag: int) -> str:
    try:
        return str(dictionary_VR(tag))
    except KeyError:
        return "UN"
