"""Re-check the files of versions: their rows must make up the root that was sealed, their objects have their hash."""

from __future__ import annotations

from collections.abc import Iterator

from sqlmodel import Session, col, select

from marketplace.assets.models import Version, VersionFile
from marketplace.audit.recheck import RowFinding
from marketplace.collection.manifest import ManifestFile, root
from marketplace.kernel.canonical import sha256_hex
from marketplace.plumbing.storage import ObjectStore


def recheck(db: Session) -> Iterator[RowFinding]:
    """Versions whose files do not make up their root; files of a version that was never sealed."""
    for version in db.exec(select(Version).order_by(col(Version.id))):
        rows = db.exec(
            select(VersionFile).where(VersionFile.version_id == version.id).order_by(col(VersionFile.position))
        )
        files = [ManifestFile(one.path, one.sha256, one.bytes, one.study) for one in rows]
        if version.sealed_at is None:
            if files:
                yield RowFinding("version_file", version.id, "inserted", "an unsealed version has no files yet")
        elif (root(files), len(files)) != (version.root, version.files):
            yield RowFinding("version_file", version.id, "edited", "the files do not make up the version's root")
    known = select(Version.id)
    for stray in db.exec(select(VersionFile.version_id).where(col(VersionFile.version_id).not_in(known)).distinct()):
        yield RowFinding("version_file", stray, "inserted", "files of no known version")


def recheck_objects(db: Session, store: ObjectStore) -> Iterator[RowFinding]:
    """Files of versions and their manifests whose object is missing or whose bytes no longer have their hash.

    It reads every byte.
    """
    names = set(db.exec(select(VersionFile.sha256).distinct()))
    names |= {one for one in db.exec(select(Version.manifest).distinct()) if one}
    for name in sorted(names):
        yield from damaged(store, name)


def damaged(store: ObjectStore, name: str) -> Iterator[RowFinding]:
    """A finding when an object is missing or damaged."""
    if not store.has(name):
        yield RowFinding("object", name, "deleted", "the object is missing")
    elif sha256_hex(b"".join(store.read(name))) != name:
        yield RowFinding("object", name, "edited", "the bytes do not have this hash")
