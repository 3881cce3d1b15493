"""The far end of a push: what it has already, and how it is given the rest.

Over HTTP the whole is sent by one PUT.  After a broken one the receiver is asked what it kept by an empty PUT with
`Content-Range: bytes */SIZE`; 308 with `Range: bytes=0-N` is an answer, as in the resumable uploads of Google Cloud
Storage, and the rest follows by a partial PUT (RFC 9110 section 14.5).  Who answers otherwise gets the whole again.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Final, Protocol

from marketplace.audit import receipts
from marketplace.dataspace.destinations import Destination
from marketplace.kernel.errors import Unavailable
from marketplace.plumbing.outgoing import Answer
from marketplace.plumbing.pouring import pour
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.web import RECEIPT
from marketplace.transfer.opening import Opened
from marketplace.transfer.outflow import Outflow

_KEPT: Final = re.compile(r"bytes=0-([0-9]{1,18})")
_INCOMPLETE: Final = 308
_UNASKABLE: Final = frozenset({400, 405, 411, 415, 416, 422, 501})  # it does not know the question


class NotTaken(Unavailable):
    """The receiver answered that it does not take the data."""

    def __init__(self, status: int) -> None:
        super().__init__("the receiver does not take the data", got=str(status))
        self.status = status


class Receiver(Protocol):
    """Where the bytes of a push go."""

    def kept(self, reached: int, size: int) -> int | None:
        """How many of the first bytes it has, None = all; of `reached` bytes that were on their way, of `size`.

        Raises NotTaken, OutgoingFailed.
        """
        ...

    def take(self, outflow: Outflow) -> int:
        """Give it a leg; the status with which it acknowledged the last byte.  Raises NotTaken, OutgoingFailed."""
        ...

    def abandon(self) -> None:
        """Leave nothing unfinished with it.  Raises OutgoingFailed."""
        ...


class HttpReceiver:
    """An address that takes PUT.  As `Receiver`."""

    def __init__(self, runtime: Runtime, destination: Destination, origins: Sequence[str]) -> None:
        self._runtime, self._destination, self._origins = runtime, destination, origins

    def kept(self, reached: int, size: int) -> int | None:
        answer = pour(
            "PUT",
            self._destination.url,
            iter(()),
            0,
            headers=self._destination.headers | {"Content-Range": f"bytes */{size}"},
            settings=self._runtime.settings,
            origins=self._origins,
        )
        if answer.status == _INCOMPLETE:
            found = _KEPT.fullmatch(answer.headers.get("range", ""))
            return min(int(found[1]) + 1, reached) % size if found else 0
        if not _is_good(answer) and answer.status not in _UNASKABLE:
            raise NotTaken(answer.status)
        # A receiver that does not know the question may take it for an empty file: only what was all sent can be there.
        return None if _is_good(answer) and reached == size else 0

    def take(self, outflow: Outflow) -> int:
        opened, length = outflow.opened, outflow.left
        headers = self._destination.headers | described(self._runtime, opened)
        if opened.span.start:
            headers["Content-Range"] = f"bytes {opened.span.start}-{opened.span.end - 1}/{opened.whole.body.size}"
        answer = pour(
            "PUT",
            self._destination.url,
            outflow.part(length),
            length,
            headers=headers,
            settings=self._runtime.settings,
            origins=self._origins,
            goes_on=outflow.goes_on,
        )
        if not _is_good(answer) or outflow.left:
            raise NotTaken(answer.status)
        return answer.status

    def abandon(self) -> None:
        """What came of an unfinished PUT is the receiver's own to throw away."""


def described(runtime: Runtime, opened: Opened) -> dict[str, str]:
    """What goes with the bytes, as with the answer to a pull: digest of the whole, manifest, receipt of the use."""
    digest = base64.b64encode(bytes.fromhex(opened.whole.sha256)).decode()
    manifest = f"{runtime.settings.public_url.rstrip('/')}/v1/agreements/{opened.ground.subjects[0]}/manifest"
    return {
        "Content-Type": "application/x-tar",
        "Repr-Digest": f"sha-256=:{digest}:",
        "Link": f'<{manifest}>; rel="describedby"',
        "X-Transfer-Id": opened.transfer,
        "X-Entry-Id": opened.entry,
        RECEIPT: receipts.of_entry(runtime, opened.entry),
    }


def _is_good(answer: Answer) -> bool:
    return 200 <= answer.status < 300
