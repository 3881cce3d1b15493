"""Reading evidence and opinions, scoped to who asks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from sqlalchemy import bindparam
from sqlmodel import Session, col, select

from marketplace.assets import queries as assets
from marketplace.assets.models import Asset, Version
from marketplace.assets.schemas import EvidenceItem
from marketplace.audit.models import Document
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.errors import NotFound, shown
from marketplace.legal.models import Evidence, Opinion, OpinionCondition
from marketplace.legal.rules import LAW_PROFILE, Outcome
from marketplace.participants import queries as participants
from marketplace.plumbing.questions import Objects
from marketplace.plumbing.snapshots import once_per_snapshot
from marketplace.plumbing.storage import ObjectStore

OVERSEERS = frozenset({Role.LAW_FIRM, Role.REGISTRAR, Role.EXCHANGE_OPERATOR, Role.AUDITOR})

_CONDITIONS = Objects(
    OpinionCondition,
    select(OpinionCondition)
    .where(col(OpinionCondition.opinion_id) == bindparam("opinion"))
    .order_by(col(OpinionCondition.item)),
)
_LATEST_SIGNED = Objects(
    Opinion,
    select(Opinion)
    .where(col(Opinion.version_id) == bindparam("version"), col(Opinion.state) == "signed")
    .order_by(col(Opinion.signed_at).desc(), col(Opinion.id).desc())
    .limit(1),
)


class NoSuchOpinion(NotFound):
    """No such opinion."""


class NoSuchCondition(NotFound):
    """No such condition of this opinion."""


class NoSuchEvidence(NotFound):
    """No such evidence of this version."""


def assessed_asset(db: Session, actor: Actor, asset_id: str) -> Asset:
    """An asset whose evidence the caller may read: its own, or any for the parties of the stages."""
    found = assets.asset(db, asset_id)
    if found.provider_id != actor.participant and not OVERSEERS & set(actor.roles):
        raise assets.NoSuchAsset("no asset with this id", got=shown(asset_id))
    return found


def assessed_version(db: Session, actor: Actor, version_id: str) -> Version:
    """A version whose evidence the caller may read.  Raises NoSuchVersion."""
    found = assets.version(db, version_id)
    try:
        assessed_asset(db, actor, found.asset_id)
    except assets.NoSuchAsset as error:
        raise assets.NoSuchVersion("no version with this id", got=shown(version_id)) from error
    return found


def evidence_row(db: Session, asset_id: str, sha256: str) -> Evidence | None:
    """The evidence row of an asset with this hash."""
    return db.exec(select(Evidence).where(Evidence.asset_id == asset_id, Evidence.sha256 == sha256)).first()


def evidence_of(db: Session, asset_id: str, owner: str, among: Collection[str]) -> Sequence[str]:
    """Ids of the files that an owner has sent for an asset, of these hashes, the oldest first."""
    rows = select(Evidence.id).where(Evidence.asset_id == asset_id, Evidence.owner_id == owner)
    return db.exec(rows.where(col(Evidence.sha256).in_(among)).order_by(col(Evidence.added_at), col(Evidence.id))).all()


def evidence(db: Session, version: Version) -> dict[str, EvidenceItem]:
    """What findings on a version may cite, by SHA-256: sent files, the passport's records and their evidence."""
    rows = db.exec(select(Evidence).where(Evidence.asset_id == version.asset_id).order_by(col(Evidence.added_at)))
    found = {row.sha256: EvidenceItem(kind=row.kind, sha256=row.sha256, title=row.title) for row in rows}
    for record in assets.stage_records(db, version.id):
        found[record.document] = EvidenceItem(kind=f"{record.stage}_record", sha256=record.document)
        found |= {one["sha256"]: EvidenceItem(**one) for one in record.evidence}
    return found


def evidence_content(db: Session, store: ObjectStore, version: Version, sha256: str) -> tuple[str, Iterator[bytes]]:
    """Media type and exact bytes of a piece of evidence.  Raises NoSuchEvidence."""
    if sha256 not in evidence(db, version):
        raise NoSuchEvidence("no evidence with this hash for this version", got=sha256[:80])
    document = db.get(Document, sha256)
    if document is not None:
        return "application/json", iter([document.body])
    row = evidence_row(db, version.asset_id, sha256)
    return row.media_type if row else "application/octet-stream", store.read(sha256)


def opinion(db: Session, actor: Actor, opinion_id: str) -> Opinion:
    """An opinion the caller may read: a draft only its firm, a signed one also provider and the stages' parties."""
    found = db.get(Opinion, opinion_id)
    if found is None or not _readable(db, actor, found):
        raise NoSuchOpinion("no opinion with this id", got=opinion_id)
    return found


def lock(db: Session, found: Opinion) -> None:
    """Read an opinion anew and hold it, with its conditions, to the end of the transaction."""
    db.refresh(found, with_for_update={"key_share": True})


def opinions(db: Session, actor: Actor, version_id: str) -> Sequence[Opinion]:
    """The opinions on a version that the caller may read, in order of drafting."""
    rows = select(Opinion).where(Opinion.version_id == version_id).order_by(col(Opinion.drafted_at), col(Opinion.id))
    return [one for one in db.exec(rows) if _readable(db, actor, one)]


def signed_number(db: Session, firm_id: str, number: str) -> Opinion | None:
    """The signed opinion of a firm under a number."""
    rows = select(Opinion).where(Opinion.firm_id == firm_id, Opinion.number == number, Opinion.state == "signed")
    return db.exec(rows).first()


@once_per_snapshot
def conditions(db: Session, opinion_id: str) -> Sequence[OpinionCondition]:
    """The conditions of an opinion by item."""
    return _CONDITIONS.all(db, opinion=opinion_id)


def condition(db: Session, opinion_id: str, condition_id: str) -> OpinionCondition:
    """One condition.  Raises NoSuchCondition."""
    found = db.get(OpinionCondition, condition_id)
    if found is None or found.opinion_id != opinion_id:
        raise NoSuchCondition("no condition with this id", got=condition_id)
    return found


def latest_signed(db: Session, version_id: str) -> Opinion | None:
    """The last signed opinion on a version, whatever it says."""
    return _LATEST_SIGNED.first(db, version=version_id)


def is_valid(db: Session, found: Opinion, root: str, now: datetime) -> bool:
    """Whether a signed opinion holds now: not failed, same root, same law, in date, no condition missed."""
    holds = found.state == "signed" and found.outcome != Outcome.FAIL and found.root == root
    if not holds or found.law_profile != LAW_PROFILE or found.expires_at <= now:
        return False
    return all(
        (one.met_at is not None and one.met_at <= one.due_at) or now < one.due_at for one in conditions(db, found.id)
    )


@once_per_snapshot
def valid_opinion(db: Session, version: Version, now: datetime) -> Opinion | None:
    """The opinion that a version rests on now, or None (gate H15): the last signed one decides, also when it fails."""
    found = latest_signed(db, version.id)
    return found if found is not None and is_valid(db, found, version.root, now) else None


def overseers(db: Session) -> list[str]:
    """Ids of registrars and exchange operators: they must read what they rely on."""
    roles = (Role.REGISTRAR, Role.EXCHANGE_OPERATOR)
    return [one.id for role in roles for one in participants.with_role(db, role)]


def _readable(db: Session, actor: Actor, found: Opinion) -> bool:
    if found.firm_id == actor.participant:
        return True
    if found.state != "signed":
        return False
    owner = assets.asset(db, assets.version(db, found.version_id).asset_id).provider_id
    return owner == actor.participant or bool(OVERSEERS & set(actor.roles))
