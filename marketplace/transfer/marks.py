"""The watermark of a delivery: which agreement and which buyer a file was made for, under a key of the service.

A mark stands in attributes that the standard foresees for it: an item of Contributing Equipment Sequence whose purpose
is De-identifying Equipment (PS3.3 C.12.1, CID 7005), and Instance Creator UID.  Both survive re-saving a file.  The
tag cannot be made up without the key; the seal binds the mark to one instance, so that it cannot be moved to another
file unnoticed.  Pixels stay as they are: nothing that a diagnosis could rest on is altered, nothing is hidden in them.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

PLACES: Final = ("ContributingEquipmentSequence", "InstanceCreatorUID")
_MAKER: Final = "medical-data-market"
_TEXT: Final = re.compile(r"mark/1 agreement=(\w{1,64}) buyer=(\w{1,64}) tag=([0-9a-f]{32})(?: seal=([0-9a-f]{32}))?")
_BYTES: Final = 16


@dataclass(frozen=True)
class Mark:
    """Whom a file was made for.  tag: hex, of agreement and buyer; seal: hex, of the instance too, may be empty."""

    agreement: str
    buyer: str
    tag: str
    seal: str = ""

    @property
    def text(self) -> str:
        """As it stands in a file."""
        seal = f" seal={self.seal}" if self.seal else ""
        return f"mark/1 agreement={self.agreement} buyer={self.buyer} tag={self.tag}{seal}"

    @property
    def creator(self) -> str:
        """The tag as a UID (PS3.5 annex B.2)."""
        return f"2.25.{int(self.tag, 16)}"


def mark_of(secret: bytes, agreement: str, buyer: str) -> Mark:
    """The mark of every file of an agreement.  secret: the agreement's key."""
    return Mark(agreement, buyer, _tag(secret, f"mark/{agreement}/{buyer}"))


def sealed(mark: Mark, secret: bytes, instance: str) -> Mark:
    """The mark of one file.  instance: its SOP Instance UID as delivered."""
    return Mark(mark.agreement, mark.buyer, mark.tag, _tag(secret, f"seal/{mark.text}/{instance}"))


def write_mark(dataset: Dataset, mark: Mark) -> None:
    """Put a mark into a file, beside the equipment that it names already."""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "109104", "DCM", "De-identifying Equipment"
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = Sequence([code])
    item.Manufacturer = _MAKER
    item.ContributionDescription = mark.text
    former = dataset.get("ContributingEquipmentSequence")
    dataset.ContributingEquipmentSequence = Sequence([*(former or []), item])
    dataset.InstanceCreatorUID = UID(mark.creator)


def read_marks(text: str) -> Iterator[Mark]:
    """Every mark in a text, as it says of itself."""
    for agreement, buyer, tag, seal in _TEXT.findall(text):
        yield Mark(agreement, buyer, tag, seal)


def _tag(secret: bytes, text: str) -> str:
    return hmac.digest(secret, text.encode(), "sha256")[:_BYTES].hex()
