"""A party's receipts: checked when they arrive, kept in its own folder, shown later to whoever doubts."""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from marketplace.kernel.canonical import read_strictly
from marketplace.kernel.errors import Invalid
from marketplace.kernel.signing import Jwk, read_header, require_public_jwk, verify_compact

HEADER = "Receipt"
FILE = "receipts.jsonl"
TYP = "receipt+jwt"


class BadReceipt(Invalid):
    """The receipt of an answer is not signed by the service.  What was asked for may have happened."""


class ReceiptBook:
    """Receipts as lines {"method", "path", "status", "receipt"} of `receipts.jsonl`; only ever appended to.

    A line is on the disk when the system writes it there: a receipt that is lost comes again with the same
    Idempotency-Key.  May be shared by threads.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._keys: dict[str, Jwk] = {}
        self._lock = threading.Lock()

    def take(self, receipt: str, known_keys: Callable[[], list[Jwk]], **about: str | int) -> None:
        """Check a receipt and keep it.  known_keys: asks the service for its keys, when this one is not known yet.

        Raises BadReceipt.
        """
        try:
            verify_compact(receipt, self._key(str(read_header(receipt).get("kid")), known_keys), typ=TYP)
        except Invalid as error:
            raise BadReceipt(
                f"the receipt does not hold: {error.detail}", action="keep the answer, and ask the operator"
            ) from error
        line = json.dumps({**about, "receipt": receipt}, ensure_ascii=False) + "\n"
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)

    def about(self, entries: set[str]) -> Iterator[str]:
        """The kept receipts that promise one of these entries."""
        if not self.path.is_file():
            return
        for line in self.path.read_text("utf-8").splitlines():
            receipt = str(json.loads(line)["receipt"])
            promised = read_strictly(_payload(receipt)).get("entries", [])
            if any(one["id"] in entries for one in promised):
                yield receipt

    def _key(self, kid: str, known_keys: Callable[[], list[Jwk]]) -> Jwk:
        with self._lock:
            if kid not in self._keys:
                self._keys |= {jwk["kid"]: jwk for jwk in map(require_public_jwk, known_keys())}
            if kid not in self._keys:
                raise BadReceipt("signed with a key that is not the service's", got=kid[:64])
            return self._keys[kid]


def _payload(jws: str) -> bytes:
    part = jws.split(".")[1]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
