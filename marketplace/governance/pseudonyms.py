"""Keyed replacements: the same input under the same asset key gives the same output, and no key gives it back."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import date, timedelta

# Into the past, so that no date lies in the future; never zero; ten years wide.
SHIFT_MIN_DAYS = 30
SHIFT_MAX_DAYS = 3680

_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_DATETIME = re.compile(r"(\d{8})(\d{0,6}(?:\.\d{1,6})?)(?:[+-]\d{4})?")
_TIME = re.compile(r"\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?")


@dataclass(frozen=True)
class Pseudonyms:
    """The replacements of one patient in one asset.

    secret: the asset's 32 random bytes; patient: what identifies the patient in the raw files.
    """

    secret: bytes = field(repr=False)
    patient: str

    def uid(self, uid: str) -> str:
        """A UID below `2.25.` (PS3.5 B.2: a UUID as one integer), the same within the asset, at most 44 characters."""
        value = int.from_bytes(self._mac("uid", uid)[:16])
        # RFC 9562 version 8 (custom) and variant bits make the integer a well-formed UUID.
        value = value & ~(0xF << 76) & ~(0x3 << 62) | (0x8 << 76) | (0x2 << 62)
        return f"2.25.{value}"

    @property
    def code(self) -> str:
        """The patient's pseudonym: `P-` and 16 letters or digits."""
        return "P-" + base64.b32encode(self._mac("patient", self.patient)[:10]).decode()

    @property
    def shift(self) -> timedelta:
        """Days by which every date of this patient moves, always into the past."""
        span = SHIFT_MAX_DAYS - SHIFT_MIN_DAYS + 1
        return -timedelta(days=SHIFT_MIN_DAYS + int.from_bytes(self._mac("shift", self.patient)[:8]) % span)

    def date(self, text: str) -> str:
        """A DA value moved; empty when it is not a date."""
        found = _DATE.fullmatch(text)
        if found is None:
            return ""
        try:
            moved = date(int(found[1]), int(found[2]), int(found[3])) + self.shift
        except (ValueError, OverflowError):
            return ""
        return f"{moved.year:04d}{moved.month:02d}{moved.day:02d}"

    def datetime(self, text: str) -> str:
        """A DT value with its date moved, its time of day kept and its zone dropped; empty when it is not one."""
        found = _DATETIME.fullmatch(text)
        moved = self.date(found[1]) if found else ""
        return moved + found[2] if found and moved else ""

    @staticmethod
    def time(text: str) -> str:
        """A TM value as it is; empty when it is not one."""
        return text if _TIME.fullmatch(text) else ""

    def _mac(self, purpose: str, value: str) -> bytes:
        return hmac.digest(self.secret, f"{purpose}\0{value}".encode(), hashlib.sha256)
