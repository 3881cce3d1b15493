"""Reading governance jobs and their files, scoped to the provider that asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import bindparam, func
from sqlmodel import Session, col, select

from marketplace.assets import queries as assets
from marketplace.assets.models import VersionFile
from marketplace.collection.models import CollectedFile
from marketplace.governance.deidentify import GOVERNED, HELD_BACK
from marketplace.governance.models import AssetSecret, FaceDeclaration, GovernanceJob, GovernedFile
from marketplace.governance.rules import JobState
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import NotFound
from marketplace.plumbing import paging
from marketplace.plumbing.paging import Order, Paged
from marketplace.plumbing.questions import Question, alone

_IN_MANIFEST: Final = Order((col(GovernedFile.position),), (col(GovernedFile.position),))
_KINDS = Question(
    select(CollectedFile.sop_class)
    .join(VersionFile, col(VersionFile.source) == col(CollectedFile.sha256))
    .where(col(VersionFile.version_id) == bindparam("version"))
    .distinct(),
    alone,
)


class NoSuchJob(NotFound):
    """No such governance job."""


class NoSuchDeclaration(NotFound):
    """No such face declaration of this version."""


@dataclass(frozen=True)
class Progress:
    """Files judged so far and, of these, held back."""

    done: int
    held_back: int


def job(db: Session, job_id: str, *, lock: bool = False) -> GovernanceJob:
    """One job: for workers; lock: hold its row until the transaction ends.  Raises NoSuchJob."""
    rows = select(GovernanceJob).where(GovernanceJob.id == job_id)
    found = db.exec(rows.with_for_update() if lock else rows).first()
    if found is None:
        raise NoSuchJob("no governance job with this id", got=job_id)
    return found


def own_job(db: Session, actor: Actor, job_id: str) -> GovernanceJob:
    """A job on one of the caller's assets.  Raises NoSuchJob for anybody else's."""
    found = job(db, job_id)
    if assets.asset(db, found.asset_id).provider_id != actor.participant:
        raise NoSuchJob("no governance job with this id", got=job_id)
    return found


def job_of_governed(db: Session, version_id: str) -> GovernanceJob:
    """The job that made a governed version.  Raises NoSuchJob."""
    found = db.exec(select(GovernanceJob).where(GovernanceJob.governed_version_id == version_id)).first()
    if found is None:
        raise NoSuchJob("this version was not made by a governance job", got=version_id)
    return found


def running_job(db: Session, raw_version_id: str) -> GovernanceJob | None:
    """The unfinished job of a raw version, if there is one."""
    unfinished = col(GovernanceJob.state).in_([JobState.QUEUED, JobState.RUNNING])
    return db.exec(select(GovernanceJob).where(GovernanceJob.raw_version_id == raw_version_id, unfinished)).first()


def progress(db: Session, job_id: str) -> Progress:
    """Counted from the files, so that a batch that ran twice counts once."""
    rows = select(GovernedFile.outcome, func.count()).where(GovernedFile.job_id == job_id)
    counts = dict(db.exec(rows.group_by(col(GovernedFile.outcome))).all())
    return Progress(sum(counts.values()), counts.get(HELD_BACK, 0))


def judged(db: Session, job_id: str, positions: range) -> set[int]:
    """The positions of a batch that already have their result."""
    rows = select(GovernedFile.position).where(
        GovernedFile.job_id == job_id,
        col(GovernedFile.position) >= positions.start,
        col(GovernedFile.position) < positions.stop,
    )
    return set(db.exec(rows))


def results(db: Session, job_id: str) -> Sequence[GovernedFile]:
    """All results in raw manifest order."""
    rows = select(GovernedFile).where(GovernedFile.job_id == job_id)
    return db.exec(rows.order_by(col(GovernedFile.position))).all()


def held_back(db: Session, job_id: str, *, cursor: str | None = None, limit: int = paging.MOST) -> Paged[GovernedFile]:
    """A page of the held-back files in manifest order.  Raises NotOnThisList."""
    rows = select(GovernedFile).where(GovernedFile.job_id == job_id, GovernedFile.outcome == HELD_BACK)
    return _IN_MANIFEST.page(db, rows, cursor, limit)


def held_back_reasons(files: Sequence[GovernedFile]) -> Counter[str]:
    """Held-back files by reason code."""
    return Counter(str(one.reason) for one in files if one.outcome != GOVERNED)


def facts_of(db: Session, version_id: str) -> dict[str, Json]:
    """Path in a governed version -> the facts of its file (`facts.Facts` as data); empty for any other version."""
    rows = (
        select(GovernedFile.path, GovernedFile.facts)
        .join(GovernanceJob, col(GovernanceJob.id) == col(GovernedFile.job_id))
        .where(GovernanceJob.governed_version_id == version_id, GovernedFile.outcome == GOVERNED)
    )
    return {path: dict(facts) for path, facts in db.exec(rows) if facts is not None}


def pixels_of_version(db: Session, version_id: str) -> list[str]:
    """The hashes over shape and pixels of a governed version's files."""
    rows = (
        select(GovernedFile.pixels)
        .join(GovernanceJob, col(GovernanceJob.id) == col(GovernedFile.job_id))
        .where(GovernanceJob.governed_version_id == version_id, GovernedFile.outcome == GOVERNED)
    )
    return [one for one in db.exec(rows) if one]


def kinds_of(db: Session, version_id: str) -> set[str]:
    """The SOP class UIDs of a governed version's files, as they were read when the raw files were received."""
    return {one for one in _KINDS.rows(db, version=version_id) if one}


def secret(db: Session, secret_id: str) -> bytes:
    """The asset's key bytes: for the de-identification task only."""
    return db.get_one(AssetSecret, secret_id).secret


def signed_declaration(db: Session, version_id: str) -> FaceDeclaration | None:
    """The latest signed face declaration of a raw version, if any."""
    rows = select(FaceDeclaration).where(
        FaceDeclaration.version_id == version_id, col(FaceDeclaration.signed_at).is_not(None)
    )
    return db.exec(rows.order_by(col(FaceDeclaration.signed_at).desc())).first()


def declaration(db: Session, version_id: str, document: str) -> FaceDeclaration:
    """A prepared declaration of a raw version.  Raises NoSuchDeclaration."""
    found = db.get(FaceDeclaration, document)
    if found is None or found.version_id != version_id:
        raise NoSuchDeclaration("no prepared face declaration with this hash", got=document)
    return found
