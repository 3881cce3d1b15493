"""Reading what was received; only ever for a version of the caller's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlmodel import Session, col, select

from marketplace.assets.models import Version, VersionFile
from marketplace.collection.models import CollectedBatch, CollectedFile, Collection
from marketplace.kernel.errors import NotFound

# Databases limit the number of parameters of one statement.
_AT_ONCE = 500


class NotSealed(NotFound):
    """The version is not sealed."""


def batch(db: Session, version: Version, label: str) -> CollectedBatch | None:
    """A received batch by its label."""
    return db.get(CollectedBatch, (version.id, label))


def received(db: Session, version: Version) -> Sequence[CollectedFile]:
    """Everything received for a version, in order of (batch, position)."""
    rows = select(CollectedFile).where(CollectedFile.version_id == version.id)
    return db.exec(rows.order_by(col(CollectedFile.batch), col(CollectedFile.position))).all()


def batch_files(db: Session, version: Version, label: str) -> Sequence[CollectedFile]:
    """The files of one batch by position."""
    rows = select(CollectedFile).where(CollectedFile.version_id == version.id, CollectedFile.batch == label)
    return db.exec(rows.order_by(col(CollectedFile.position))).all()


def accepted_hashes(db: Session, version: Version, among: Iterable[str]) -> set[str]:
    """Which of these contents are accepted in the version already."""
    wanted = sorted(set(among))
    found: set[str] = set()
    for start in range(0, len(wanted), _AT_ONCE):
        some = col(CollectedFile.sha256).in_(wanted[start : start + _AT_ONCE])
        rows = select(CollectedFile.sha256)
        found |= set(db.exec(rows.where(CollectedFile.version_id == version.id, CollectedFile.reason == "", some)))
    return found


def left_out(db: Session, version: Version, after: tuple[str, int], limit: int) -> Sequence[CollectedFile]:
    """Files left out, in order of (batch, position), beginning after a key."""
    batch_label, position = after
    behind = (col(CollectedFile.batch) > batch_label) | (
        (col(CollectedFile.batch) == batch_label) & (col(CollectedFile.position) > position)
    )
    rows = select(CollectedFile).where(CollectedFile.version_id == version.id, CollectedFile.reason != "", behind)
    return db.exec(rows.order_by(col(CollectedFile.batch), col(CollectedFile.position)).limit(limit)).all()


def files(db: Session, version: Version, after: int, limit: int) -> Sequence[VersionFile]:
    """Files of a sealed version in manifest order, beginning after a position."""
    rows = select(VersionFile).where(VersionFile.version_id == version.id, VersionFile.position > after)
    return db.exec(rows.order_by(col(VersionFile.position)).limit(limit)).all()


def collection(db: Session, version: Version) -> Collection:
    """How a version was sealed.  Raises NotSealed."""
    found = db.get(Collection, version.id)
    if found is None:
        raise NotSealed("the version is not sealed", got=version.id, action="seal it first")
    return found
