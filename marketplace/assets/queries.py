"""Reading assets, versions and passports, scoped to who asks where the content is not public."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam
from sqlmodel import Session, col, select

from marketplace.assets.models import Asset, StageRecord, Version, VersionFile
from marketplace.assets.stages import PASSPORT
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.errors import NotFound, shown
from marketplace.plumbing.questions import Objects
from marketplace.plumbing.snapshots import once_per_snapshot

_FILES = Objects(
    VersionFile,
    select(VersionFile).where(col(VersionFile.version_id) == bindparam("version")).order_by(col(VersionFile.position)),
)


class NoSuchAsset(NotFound):
    """No such asset."""


class NoSuchVersion(NotFound):
    """No such version."""


def asset(db: Session, asset_id: str) -> Asset:
    """One asset, whoever owns it: for other rooms.  Raises NoSuchAsset."""
    found = db.get(Asset, asset_id)
    if found is None:
        raise NoSuchAsset("no asset with this id", got=shown(asset_id))
    return found


def own_asset(db: Session, actor: Actor, asset_id: str) -> Asset:
    """An asset of the caller.  Raises NoSuchAsset for anybody else's, so that ids cannot be probed."""
    found = asset(db, asset_id)
    if found.provider_id != actor.participant:
        raise NoSuchAsset("no asset with this id", got=shown(asset_id))
    return found


def lock_asset(db: Session, asset_id: str) -> None:
    """Keep whatever else changes which files of an asset may be used waiting, until the transaction ends."""
    db.exec(select(Asset.id).where(Asset.id == asset_id).with_for_update(key_share=True)).one()


@once_per_snapshot
def version(db: Session, version_id: str) -> Version:
    """One version: for other rooms.  Raises NoSuchVersion."""
    found = db.get(Version, version_id)
    if found is None:
        raise NoSuchVersion("no version with this id", got=shown(version_id))
    return found


def lock_version(db: Session, found: Version) -> None:
    """Read a version anew and hold it to the end of the transaction: what was read before may have changed since."""
    db.refresh(found, with_for_update={"key_share": True})


def own_version(db: Session, actor: Actor, version_id: str) -> Version:
    """A version of one of the caller's assets.  Raises NoSuchVersion."""
    found = version(db, version_id)
    if asset(db, found.asset_id).provider_id != actor.participant:
        raise NoSuchVersion("no version with this id", got=shown(version_id))
    return found


def visible_assets(db: Session, actor: Actor) -> Sequence[Asset]:
    """Assets the caller may see outside the catalogue: its own; all of them for the parties of the stages."""
    rows = select(Asset).order_by(col(Asset.registered_at), col(Asset.id))
    overseers = {Role.LAW_FIRM, Role.REGISTRAR, Role.EXCHANGE_OPERATOR, Role.AUDITOR}
    if not overseers & set(actor.roles):
        rows = rows.where(Asset.provider_id == actor.participant)
    return db.exec(rows).all()


def visible_version(db: Session, actor: Actor, version_id: str) -> Version:
    """A version of an asset that the caller may see.  Raises NoSuchVersion, the same as for none at all."""
    found = db.get(Version, version_id)
    if found is None or found.asset_id not in {one.id for one in visible_assets(db, actor)}:
        raise NoSuchVersion("no version with this id", got=shown(version_id))
    return found


def versions(db: Session, asset_id: str) -> Sequence[Version]:
    """All versions of an asset by number."""
    return db.exec(select(Version).where(Version.asset_id == asset_id).order_by(col(Version.number))).all()


def files(db: Session, version_id: str) -> Sequence[VersionFile]:
    """The files of a version in manifest order."""
    return _FILES.all(db, version=version_id)


def stage_records(db: Session, version_id: str) -> list[StageRecord]:
    """The passport: latest record per stage in stage order; a governed version shows its raw parent's `collected`."""
    subject = version(db, version_id)
    ids = [version_id] + ([subject.parent_id] if subject.parent_id else [])
    rows = db.exec(
        select(StageRecord).where(col(StageRecord.version_id).in_(ids)).order_by(col(StageRecord.recorded_at))
    )
    latest = {row.stage: row for row in rows}
    return [latest[stage] for stage in PASSPORT if stage in latest]
