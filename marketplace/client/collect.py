"""Collecting a folder over the API: upload in batches, seal, sign the collection record with the party's own key."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from marketplace.client.api import ApiClient, NotTheDocument
from marketplace.client.upload import tar_batches

KIND = "collection-record"


def collect(
    client: ApiClient, asset: str, folder: Path, *, watch: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Upload every file below a folder as a new raw version of an asset and bring it to `collected`.

    watch: told how many files are done and how many there are.  Returns the version and, by the folder's own file
    names, which files were left out and why; the service itself never learns the names.  Raises NotTheDocument: what
    is to be signed is no record of that version; ProblemError.
    """
    version = client.post(f"/v1/assets/{asset}/versions")["id"]
    left_out = upload(client, version, folder, watch=watch)
    sealed = client.post(f"/v1/versions/{version}/seal")
    own = partial(_require_own, client, asset, version)
    signed = client.sign(sealed["document"]["sha256"], KIND, require=own)
    client.post(f"/v1/versions/{version}/collection", signed)
    return {**client.get(f"/v1/versions/{version}"), "left_out_files": left_out}


def _require_own(client: ApiClient, asset: str, version: str, said: Any) -> None:
    known = said if isinstance(said, dict) else {}
    expected = (KIND, asset, version, client.participant_id)
    got = tuple(known.get(name) for name in ("type", "asset", "version", "signer"))
    if got != expected:
        raise NotTheDocument(
            "the served document is not the record of this version", expected=", ".join(expected), got=str(got)[:200]
        )


def upload(
    client: ApiClient, version: str, folder: Path, *, watch: Callable[[int, int], None] | None = None
) -> dict[str, str]:
    """Send every file below a folder; returns file name -> reason for those that were left out."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    left_out: dict[str, str] = {}
    done = 0
    for number, batch in enumerate(tar_batches(files)):
        answer = client.put(f"/v1/versions/{version}/files/{number:05d}", batch.body)
        for name, verdict in zip(batch.names, answer["files"], strict=True):
            if verdict["reason"]:
                left_out[str(name)] = verdict["reason"]
        done += len(batch.names)
        if watch is not None:
            watch(done, len(files))
    return left_out
