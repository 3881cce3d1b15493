"""The verbs of governance: ask for a job, sign its record.  The work in between is in `batch` and `finish`."""

from __future__ import annotations

import os
from datetime import datetime

from sqlmodel import Session

from marketplace.assets import queries as assets
from marketplace.assets import service as asset_service
from marketplace.assets.models import StageRecord, Version
from marketplace.assets.schemas import EvidenceItem, SignatureIn
from marketplace.assets.stages import Stage
from marketplace.audit import documents
from marketplace.audit.entry import Tag, record
from marketplace.governance import queries
from marketplace.governance.models import AssetSecret, GovernanceJob
from marketplace.governance.profile import load
from marketplace.governance.rules import (
    BATCH,
    AlreadyRunning,
    JobState,
    NotGovernable,
    require_governable,
)
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Conflict
from marketplace.kernel.ids import new_id
from marketplace.participants import signatures
from marketplace.plumbing import outbox

RECORD_KIND = "governance-record"
BATCH_TASK = "governance.batch"
FINISH_TASK = "governance.finish"


class OtherDocument(Conflict):
    """This is not the governance record that was prepared for the version."""


class FactsChanged(Conflict):
    """What the record says no longer holds."""


def ask(db: Session, actor: Actor, raw_version_id: str, now: datetime) -> GovernanceJob:
    """Start governing one of the caller's raw versions in the background.

    Raises NoSuchVersion, NotGovernable, AlreadyRunning.  Records: governance:asked.
    """
    raw = assets.own_version(db, actor, raw_version_id)
    assets.lock_version(db, raw)

    require_governable(raw)
    running = queries.running_job(db, raw.id)
    if running is not None:
        raise AlreadyRunning("this version is being governed", got=running.id, action="follow that job")
    if raw.files == 0:
        raise NotGovernable("the version holds no files", expected="at least one file", got="0")

    job = _open_job(db, raw, now)
    for number in range(job.batches):
        outbox.enqueue(db, BATCH_TASK, {"job": job.id, "batch": number}, key=f"{job.id}:{number}", now=now)

    facts = {"job": job.id, "files": job.total, "declaration": job.declaration, "profile": job.profile}
    record(db, actor, Tag.GOVERNANCE_ASKED, now, asset=raw.asset_id, version=raw.id, facts=facts)
    return job


def sign(db: Session, actor: Actor, version_id: str, asked: SignatureIn, now: datetime) -> StageRecord:
    """Accept the provider's signature over the governance record and take the governed version to `governed`.

    Raises NoSuchVersion, NoSuchJob, OtherDocument, FactsChanged, BadSignature, UnknownKey, WrongState.
    Records: asset:stage_reached.
    """
    version = assets.own_version(db, actor, version_id)
    job = queries.job_of_governed(db, version.id)
    raw = assets.version(db, job.raw_version_id)

    if asked.document != job.document:
        raise OtherDocument("another document was signed", expected=str(job.document), got=asked.document)
    content = documents.content(db, asked.document)
    _require_facts_hold(content, version, raw)

    signature = signatures.accept(db, actor.participant, asked.document, asked.jws, typ=f"{RECORD_KIND}+jws", now=now)
    return asset_service.advance(
        db,
        actor,
        version,
        Stage.GOVERNED,
        now,
        signature=signature,
        document=asked.document,
        evidence=[EvidenceItem(**item) for item in content["evidence"]],
        outcome="accepted",
    )


def _open_job(db: Session, raw: Version, now: datetime) -> GovernanceJob:
    if db.get(AssetSecret, raw.asset_id) is None:
        db.add(AssetSecret(asset_id=raw.asset_id, secret=os.urandom(32)))
        db.flush()
    declaration = queries.signed_declaration(db, raw.id)
    job = GovernanceJob(
        id=new_id("gov"),
        asset_id=raw.asset_id,
        raw_version_id=raw.id,
        state=JobState.QUEUED,
        step="queued",
        total=raw.files,
        batches=-(-raw.files // BATCH),
        secret_id=raw.asset_id,
        declaration=declaration.document if declaration else None,
        profile=load().sha256,
        asked_at=now,
    )
    db.add(job)
    db.flush()
    return job


def _require_facts_hold(content: Json, version: Version, raw: Version) -> None:
    for name, said, found in (
        ("version", content["version"], version.id),
        ("version_root", content["version_root"], version.root),
        ("parent_root", content["parent_root"], raw.root),
        ("parent stage", Stage.COLLECTED, raw.stage),
    ):
        if said != found:
            raise FactsChanged(f"{name} changed since the record was prepared", expected=said, got=found)
