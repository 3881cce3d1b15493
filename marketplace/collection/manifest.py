"""The manifest of a version: its files, what was left out, and the one root that everything else is bound to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from marketplace.audit.tree import root_hash
from marketplace.kernel.canonical import Json, canonical


@dataclass(frozen=True)
class ManifestFile:
    """One file.  path: `<study>/<series>/<instance>.dcm`; source: SHA-256 of the raw file, for a governed version."""

    path: str
    sha256: str
    bytes: int
    study: str
    modality: str = ""
    source: str | None = None


@dataclass(frozen=True)
class LeftOut:
    """A file that is not in the version.  label: never the sender's file name."""

    label: str
    sha256: str
    reason: str


def leaf(file: ManifestFile) -> bytes:
    """The leaf of one file: canonical JSON of path, sha256, bytes."""
    return canonical({"path": file.path, "sha256": file.sha256, "bytes": file.bytes})


def root(files: Sequence[ManifestFile]) -> str:
    """RFC 9162 Merkle tree hash over the files in manifest order, hex."""
    return root_hash([leaf(file) for file in files]).hex()


def ordered(files: Sequence[ManifestFile]) -> list[ManifestFile]:
    """Manifest order: by path, so by study, series, instance."""
    return sorted(files, key=lambda file: file.path.split("/"))


def document(version_id: str, files: Sequence[ManifestFile], left_out: Sequence[LeftOut]) -> bytes:
    """The canonical bytes of a manifest; files in manifest order."""
    body: Json = {
        "type": "manifest",
        "v": 1,
        "version": version_id,
        "root": root(files),
        "files": [
            {"path": file.path, "sha256": file.sha256, "bytes": file.bytes}
            | ({"source": file.source} if file.source else {})
            for file in files
        ],
        "left_out": [{"label": one.label, "sha256": one.sha256, "reason": one.reason} for one in left_out],
    }
    return canonical(body)
