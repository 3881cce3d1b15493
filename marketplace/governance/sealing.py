"""Sealing a governed version: its files in path order, manifest into the store, root over the manifest's files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session

from marketplace.assets.models import Version, VersionFile
from marketplace.audit.tree import root_hash
from marketplace.governance.models import GovernedFile
from marketplace.kernel.canonical import Json, canonical
from marketplace.plumbing.storage import ObjectStore

_MANIFEST_LIMIT = 1 << 30


def seal(
    db: Session, store: ObjectStore, version: Version, kept: Sequence[GovernedFile], *, left_out: int, now: datetime
) -> None:
    """Give a fresh governed version its files, manifest and root.  kept: the governed results, in any order."""
    files = [_file(version, position, one) for position, one in enumerate(sorted(kept, key=lambda one: one.path))]
    lines: list[Json] = [{"path": one.path, "sha256": one.sha256, "bytes": one.bytes} for one in files]
    manifest = canonical({"v": 1, "type": "manifest", "asset": version.asset_id, "version": version.id, "files": lines})

    version.root = root_hash([canonical(line) for line in lines]).hex()
    version.manifest = store.put([manifest], limit=_MANIFEST_LIMIT).sha256
    version.files = len(files)
    version.bytes = sum(one.bytes for one in files)
    version.records = len({one.study for one in files})
    version.left_out = left_out
    version.sealed_at = now
    db.add(version)
    db.add_all(files)
    db.flush()


def _file(version: Version, position: int, one: GovernedFile) -> VersionFile:
    assert one.output is not None
    assert one.facts is not None
    return VersionFile(
        version_id=version.id,
        position=position,
        path=one.path,
        sha256=one.output,
        bytes=one.bytes,
        study=one.study,
        modality=one.facts["modality"],
        source=one.raw,
    )
