"""Reading assets, versions and passports, scoped to who asks where the content is not public."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import bindparam
from sqlmodel import Session, col, select

from marketplace.assets.models import Asset, StageRecord, Version, VersionFile
from marketplace.assets.stages import PASSPORT
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.errors import NotFound, shown
from marketplace.plumbing import paging
from marketplace.plumbing.paging import Paged, PartyList
from marketplace.plumbing.questions import Objects
from marketplace.plumbing.snapshots import once_per_snapshot

_FILES = Objects(
    VersionFile,
    select(VersionFile).where(col(VersionFile.version_id) == bindparam("version")).order_by(col(VersionFile.position)),
)
_OVERSEERS: Final = frozenset({Role.LAW_FIRM, Role.REGISTRAR, Role.EXCHANGE_OPERATOR, Role.AUDITOR})
_ASSETS: Final = PartyList(Asset, col(Asset.registered_at), sides=(col(Asset.provider_id),), overseers=_OVERSEERS)


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


def lock_assets(db: Session, asset_ids: Collection[str]) -> None:
    """Hold several assets as `lock_asset` does, in the order of their ids."""
    rows = select(Asset.id).where(col(Asset.id).in_(asset_ids)).order_by(col(Asset.id))
    db.exec(rows.with_for_update(key_share=True)).all()


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


def visible_assets(db: Session, actor: Actor, *, cursor: str | None = None, limit: int = paging.MOST) -> Paged[Asset]:
    """A page of the assets that the caller may see, in order of registration.  Raises NotOnThisList."""
    return _ASSETS.page(db, actor, cursor, limit)


def visible_asset(db: Session, actor: Actor, asset_id: str) -> Asset:
    """An asset the caller may see outside the catalogue: its own; any for the parties of the stages.

    Raises NoSuchAsset, the same as for none at all.
    """
    return asset(db, asset_id) if _oversees(actor) else own_asset(db, actor, asset_id)


def visible_version(db: Session, actor: Actor, version_id: str) -> Version:
    """A version of an asset that the caller may see.  Raises NoSuchVersion, the same as for none at all."""
    return version(db, version_id) if _oversees(actor) else own_version(db, actor, version_id)


def _oversees(actor: Actor) -> bool:
    return bool(_OVERSEERS & set(actor.roles))


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
