"""Objects in an S3-compatible store, under the same content-addressed names as in a folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store as Bucket

from marketplace.kernel.errors import Unavailable
from marketplace.plumbing.storage import CHUNK, FolderStore, NoSuchObject, StoredObject
from marketplace.settings import Settings


class StoreUnavailable(Unavailable):
    """The object store does not answer."""


class S3Store:
    """A bucket, with a local folder in front of it for incoming streams and for child processes that need a file."""

    def __init__(self, settings: Settings) -> None:
        self._bucket = Bucket.from_url(
            settings.object_store_url,
            endpoint=settings.object_store_endpoint,
            access_key_id=settings.object_store_key_id.get_secret_value(),
            secret_access_key=settings.object_store_secret.get_secret_value(),
            client_options={"allow_http": settings.object_store_endpoint.startswith("http://")},
        )
        self._near = FolderStore(settings.data_folder / "object-cache")

    def put(self, chunks: Iterable[bytes], *, limit: int) -> StoredObject:
        stored = self._near.put(chunks, limit=limit)
        try:
            if not self._in_bucket(stored.sha256):
                obstore.put(self._bucket, _key(stored.sha256), self._near.local_path(stored.sha256))
        except BaseError as error:
            raise StoreUnavailable("the object store refused the file", action="try again later") from error
        return stored

    def read(self, sha256: str, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        stop = end if end is not None else self.size(sha256)
        while start < stop:
            part = min(start + 4 * CHUNK, stop)
            try:
                yield bytes(obstore.get_range(self._bucket, _key(sha256), start=start, end=part))
            except FileNotFoundError as error:
                raise NoSuchObject("no object with this hash", got=sha256) from error
            except BaseError as error:
                raise StoreUnavailable("the object store does not answer", action="try again later") from error
            start = part

    def size(self, sha256: str) -> int:
        try:
            return int(obstore.head(self._bucket, _key(sha256))["size"])
        except FileNotFoundError as error:
            raise NoSuchObject("no object with this hash", got=sha256) from error

    def has(self, sha256: str) -> bool:
        return self._in_bucket(sha256)

    def local_path(self, sha256: str) -> Path:
        if not self._near.has(sha256):
            stored = self._near.put(self.read(sha256), limit=1 << 62)
            if stored.sha256 != sha256:
                raise StoreUnavailable("the object store answered other bytes", expected=sha256, got=stored.sha256)
        return self._near.local_path(sha256)

    def _in_bucket(self, sha256: str) -> bool:
        try:
            obstore.head(self._bucket, _key(sha256))
        except FileNotFoundError:
            return False
        return True


def _key(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256[2:]}"
