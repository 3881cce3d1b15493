"""Leaving attributes out of a DICOM file so that it stays one: pure, run in the sandbox's children."""

from __future__ import annotations

from collections.abc import Collection

from pydicom.datadict import dictionary_keyword
from pydicom.dataset import Dataset

from marketplace.governance.required import required, stays


def keep_only(dataset: Dataset, named: Collection[str]) -> None:
    """Take away every attribute at the top level that is not named; a named sequence stays whole.

    What the standard wants present is emptied instead (Type 2), what it requires where it is there stays (Type 1C), and
    so does what the file says of its own de-identification.  Raises ValueError: its kind is not known here, or Type 1
    attributes are not named.
    """
    kind = required().get(str(dataset.get("SOPClassUID", "")))
    if kind is None:
        raise ValueError("what this kind of file requires is not known")
    if not kind.valued <= set(named):
        raise ValueError("an attribute that the standard requires would be left out")
    held = {*named, *kind.valued_if_there, *stays()}
    for tag in list(dataset.keys()):
        keyword = _keyword(int(tag))
        if keyword not in held:
            _leave_out(dataset, keyword, int(tag), emptied=keyword in kind.present)


def hide(dataset: Dataset, keywords: Collection[str]) -> None:
    """Take away attributes at every depth; those that the standard wants present are emptied."""
    kind = required().get(str(dataset.get("SOPClassUID", "")))
    present = kind.present if kind else frozenset[str]()
    for element in list(dataset):
        if element.keyword in keywords:
            _leave_out(dataset, element.keyword, int(element.tag), emptied=element.keyword in present)
        elif element.VR == "SQ":
            for item in element.value:
                hide(item, keywords)


def _leave_out(dataset: Dataset, keyword: str, tag: int, *, emptied: bool) -> None:
    del dataset[tag]
    if emptied:
        setattr(dataset, keyword, None)


def _keyword(tag: int) -> str:
    try:
        return str(dictionary_keyword(tag))
    except KeyError:
        return ""
