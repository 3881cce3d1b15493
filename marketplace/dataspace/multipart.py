"""A push into an S3 bucket: a multipart upload with the consumer's short-lived keys, gone on with at the part it lacks.

Requests are path-style, so that one origin is registered for an endpoint and no host is made from what somebody names.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from marketplace.dataspace.destinations import BucketDestination
from marketplace.dataspace.receivers import NotTaken, described
from marketplace.kernel.errors import Unavailable
from marketplace.plumbing.outgoing import Answer, origin_of
from marketplace.plumbing.pouring import pour
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.sigv4 import encoded_path, encoded_query, signed_headers
from marketplace.transfer.outflow import Outflow

PART: Final = 8 << 20
"""Bytes of a part; S3 takes 10,000 of them, each but the last of 5 MiB or more."""
_PARTS: Final = 10_000
_LISTED: Final = 200  # whose answer stays below the largest that we take
_GONE: Final = 404
# Plain elements of one level are all that is read of an answer, so no XML parser is let near it.
_UPLOAD = re.compile(rb"<UploadId>([^<]{1,1024})</UploadId>")
_PART = re.compile(rb"<Part>(.*?)</Part>", re.DOTALL)
_TRUNCATED = re.compile(rb"<IsTruncated>true</IsTruncated>")
_PLAIN_ETAG = re.compile(r"[0-9a-f]{32}")


class PartDiffers(Unavailable):
    """The bucket has other bytes than were sent."""


class BucketReceiver:
    """An object of a bucket.  As `receivers.Receiver`.

    upload: id of the upload that an attempt before began, or empty; remember: keeps the id of a new one.
    """

    def __init__(
        self,
        runtime: Runtime,
        destination: BucketDestination,
        origins: Sequence[str],
        upload: str,
        remember: Callable[[str], None],
    ) -> None:
        self._runtime, self._destination, self._origins = runtime, destination, origins
        self._upload, self._remember = upload, remember
        self._etags: list[str] = []

    def kept(self, reached: int, size: int) -> int | None:
        self._etags, kept = [], 0
        if not self._upload:
            return 0
        length = _part_length(size)
        for etag, part in self._listed():
            if part != min(length, size - kept):
                break
            self._etags.append(etag)
            kept += part
        if self._upload and kept == size:  # only the answer that joins the parts is missing
            self._complete()
        elif self._upload:
            return kept
        return None if reached == size and self._call("HEAD", {}).status in range(200, 300) else 0

    def take(self, outflow: Outflow) -> int:
        opened = outflow.opened
        length = _part_length(opened.whole.body.size)
        if not opened.span.start:
            self.abandon()
            self._begin(described(self._runtime, opened), opened.whole.sha256)
        while outflow.left:
            self._put(outflow, min(length, outflow.left))
        return self._complete()

    def abandon(self) -> None:
        """Leave no parts behind that somebody would pay for.  Raises OutgoingFailed."""
        if self._upload:
            self._call("DELETE", {"uploadId": self._upload})
        self._upload, self._etags = "", []

    def _begin(self, about: Mapping[str, str], sha256: str) -> None:
        meta = {"x-amz-meta-sha256": sha256, "x-amz-meta-transfer": about["X-Transfer-Id"]}
        answer = self._good(self._call("POST", {"uploads": ""}, headers=meta | {"content-type": about["Content-Type"]}))
        found = _UPLOAD.search(answer.body)
        if found is None:
            raise NotTaken(answer.status)
        self._upload = html.unescape(found[1].decode())
        self._remember(self._upload)

    def _put(self, outflow: Outflow, length: int) -> None:
        running = hashlib.md5(usedforsecurity=False)

        def hashed() -> Iterator[bytes]:
            for window in outflow.part(length):
                running.update(window)
                yield window

        number = {"partNumber": str(len(self._etags) + 1), "uploadId": self._upload}
        answer = self._good(self._call("PUT", number, hashed(), length, goes_on=outflow.goes_on))
        etag = answer.headers.get("etag", "").strip('"')
        # An encrypted part has an ETag of another kind.
        plain = _PLAIN_ETAG.fullmatch(etag) and "x-amz-server-side-encryption" not in answer.headers
        if plain and etag != running.hexdigest():
            raise PartDiffers("a part arrived with other bytes", expected=running.hexdigest(), got=etag)
        self._etags.append(etag)

    def _complete(self) -> int:
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{html.escape(etag)}&quot;</ETag></Part>"
            for number, etag in enumerate(self._etags, 1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        answer = self._good(self._call("POST", {"uploadId": self._upload}, iter([body]), len(body)))
        if b"<Error>" in answer.body:  # S3 may fail after it has answered 200
            raise NotTaken(500)
        return answer.status

    def _listed(self) -> Iterator[tuple[str, int]]:
        """ETag and bytes of the parts from the first on without a gap; an upload that is gone is forgotten."""
        number = 0
        while True:
            asked = {"uploadId": self._upload, "max-parts": str(_LISTED), "part-number-marker": str(number)}
            answer = self._call("GET", asked)
            if answer.status == _GONE:
                self._upload = ""
                return
            for found in _PART.findall(self._good(answer).body):
                number += 1
                if _text(found, "PartNumber") != str(number):
                    return
                yield _text(found, "ETag").strip('"'), int(_text(found, "Size"))
            if not _TRUNCATED.search(answer.body):
                return

    def _call(
        self,
        method: str,
        query: Mapping[str, str],
        content: Iterator[bytes] | None = None,
        length: int = 0,
        *,
        headers: Mapping[str, str] | None = None,
        goes_on: Callable[[], bool] = lambda: True,
    ) -> Answer:
        where = self._destination
        base = origin_of(where.endpoint)
        host = base.partition("://")[2]
        host = host.removesuffix(":443" if base.startswith("https:") else ":80")
        path = f"/{where.bucket}/{where.key}"
        signed = signed_headers(
            method, host, path, query, headers or {}, where.keys, where.region, signed_at(self._runtime.clock.now())
        )
        url = f"{base}{encoded_path(path)}" + (f"?{encoded_query(query)}" if query else "")
        return pour(
            method,
            url,
            content or iter(()),
            length,
            headers=signed,
            settings=self._runtime.settings,
            origins=self._origins,
            goes_on=goes_on,
        )

    def _good(self, answer: Answer) -> Answer:
        if not 200 <= answer.status < 300:
            raise NotTaken(answer.status)
        return answer


def signed_at(now: datetime) -> datetime:
    """The moment that a signature bears: S3 refuses one that is 15 minutes away from its own clock."""
    return now.astimezone(UTC)


def _part_length(size: int) -> int:
    """Bytes of every part but the last: the same for the same whole, so that an upload can be gone on with."""
    return max(PART, -(-size // _PARTS))


def _text(part: bytes, name: str) -> str:
    """The text of an element.  Raises NotTaken."""
    found = re.search(rb"<%s>([^<]{0,1024})</%s>" % (name.encode(), name.encode()), part)
    if found is None:
        raise NotTaken(500)
    return html.unescape(found[1].decode())
