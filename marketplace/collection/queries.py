"""Reading what was received; only ever for a version of the caller's own."""

from __future__ import annotations

from collections.abc import Collection as AnyCollection
from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import or_
from sqlmodel import Session, col, select

from marketplace.assets import queries as assets
from marketplace.assets.models import Version, VersionFile
from marketplace.collection.models import CollectedBatch, CollectedFile, Collection, ConsentWithdrawal
from marketplace.kernel.errors import NotFound
from marketplace.plumbing import paging
from marketplace.plumbing.paging import Order, Paged

# Databases limit the number of parameters of one statement.
_AT_ONCE = 500
_SENT: Final = (col(CollectedFile.batch), col(CollectedFile.position))
_AS_SENT: Final = Order(_SENT, _SENT)
_IN_MANIFEST: Final = Order((col(VersionFile.position),), (col(VersionFile.position),))


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


def left_out(
    db: Session, version: Version, *, cursor: str | None = None, limit: int = paging.MOST
) -> Paged[CollectedFile]:
    """A page of the files left out, in order of (batch, position).  Raises NotOnThisList."""
    rows = select(CollectedFile).where(CollectedFile.version_id == version.id, CollectedFile.reason != "")
    return _AS_SENT.page(db, rows, cursor, limit)


def files(db: Session, version: Version, *, cursor: str | None = None, limit: int = paging.MOST) -> Paged[VersionFile]:
    """A page of the files of a sealed version, in manifest order.  Raises NotOnThisList."""
    return _IN_MANIFEST.page(db, select(VersionFile).where(VersionFile.version_id == version.id), cursor, limit)


def collection(db: Session, version: Version) -> Collection:
    """How a version was sealed.  Raises NotSealed."""
    found = db.get(Collection, version.id)
    if found is None:
        raise NotSealed("the version is not sealed", got=version.id, action="seal it first")
    return found


def withdrawn_hashes(db: Session, asset_id: str) -> set[str]:
    """The files of an asset whose consent was withdrawn, by hash."""
    return set(db.exec(select(ConsentWithdrawal.sha256).where(ConsentWithdrawal.asset_id == asset_id)))


def named_files(db: Session, version: Version, names: Iterable[str]) -> dict[str, set[str]]:
    """The hashes meant by each of these names in a version: SHA-256 of a file, or its path.

    A governed file means the raw file it was made from.  A draft's files are known by hash only.
    """
    wanted = sorted(set(names))
    found: dict[str, set[str]] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        hit = or_(col(VersionFile.sha256).in_(some), col(VersionFile.path).in_(some))
        for row in db.exec(select(VersionFile).where(VersionFile.version_id == version.id, hit)):
            for name in {row.sha256, row.path} & set(some):
                found.setdefault(name, set()).add(row.source or row.sha256)
    if version.sealed_at is None:
        found |= {one: {one} for one in accepted_hashes(db, version, wanted)}
    return found


def versions_with(db: Session, asset_id: str, hashes: AnyCollection[str]) -> list[Version]:
    """The sealed versions of an asset that hold any of these collected files, and all that were made from one of them.

    In order of their numbers.
    """
    holders: set[str] = set()
    wanted = sorted(hashes)
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        hit = or_(col(VersionFile.sha256).in_(some), col(VersionFile.source).in_(some))
        rows = select(VersionFile.version_id).join(Version, col(Version.id) == col(VersionFile.version_id))
        holders |= set(db.exec(rows.where(Version.asset_id == asset_id, hit).distinct()))
    every = assets.versions(db, asset_id)
    return [one for one in every if one.id in holders or one.parent_id in holders]
