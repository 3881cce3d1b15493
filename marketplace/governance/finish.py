"""The end of a job: duplicates out, governed version sealed, evidence kept, record prepared, studies metered.

All of it is one transaction: either the job is finished with everything, or nothing happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session

from marketplace.assets import queries as assets
from marketplace.assets import service as asset_service
from marketplace.assets.models import Version
from marketplace.assets.schemas import EvidenceItem
from marketplace.assets.stages import Stage
from marketplace.audit import documents
from marketplace.audit.entry import Tag, record
from marketplace.costing import service as costing
from marketplace.costing.tariffs import tariff_attributes
from marketplace.governance import queries
from marketplace.governance.deidentify import GOVERNED, HELD_BACK
from marketplace.governance.evidence import deidentification_report, governance_record
from marketplace.governance.facts import Facts
from marketplace.governance.models import GovernanceJob, GovernedFile
from marketplace.governance.quality import Sample, quality_card
from marketplace.governance.rules import (
    JOB,
    NOTHING_GOVERNED,
    RAW_WITHDRAWN,
    Candidate,
    JobState,
    duplicates,
)
from marketplace.governance.sealing import seal
from marketplace.governance.service import RECORD_KIND
from marketplace.kernel.actor import Actor
from marketplace.participants import queries as participants
from marketplace.plumbing.storage import ObjectStore


def finish(db: Session, actor: Actor, store: ObjectStore, job_id: str, now: datetime) -> GovernanceJob:
    """Finish a job all of whose files are judged; a job that is over or not complete stays as it is.

    Records: governance:finished or governance:failed, costing:metered.
    """
    job = queries.job(db, job_id, lock=True)
    raw = assets.version(db, job.raw_version_id)
    results = queries.results(db, job.id)

    if not JOB.permits(JobState(job.state), "work") or len(results) != job.total:
        return job
    _hold_back_duplicates(results)
    kept = [one for one in results if one.outcome == GOVERNED]
    if raw.stage != Stage.COLLECTED or not kept:
        return _fail(db, actor, job, NOTHING_GOVERNED if raw.stage == Stage.COLLECTED else RAW_WITHDRAWN, now)

    version = asset_service.open_version(db, assets.asset(db, job.asset_id), now, kind="governed", parent=raw)
    seal(db, store, version, kept, left_out=len(results) - len(kept), now=now)
    job.governed_version_id = version.id
    job.document = _prepare(db, job, version, raw, results, now)
    job.metered = version.records
    step = JOB.step(JobState(job.state), JobState.FINISHED, actor.roles)
    job.state, job.step, job.finished_at = JobState.FINISHED, "finished", now
    db.add(job)

    _record(db, actor, job, version, Tag(step.tag), now)
    return job


def _hold_back_duplicates(results: Sequence[GovernedFile]) -> None:
    candidates = [Candidate(one.position, one.pixels, one.path) for one in results if one.outcome == GOVERNED]
    reasons = duplicates(candidates)
    for one in results:
        if one.position in reasons:
            one.outcome, one.reason = HELD_BACK, reasons[one.position]


def _fail(db: Session, actor: Actor, job: GovernanceJob, reason: str, now: datetime) -> GovernanceJob:
    step = JOB.step(JobState(job.state), JobState.FAILED, actor.roles)
    job.state, job.step, job.failure, job.finished_at = JobState.FAILED, "failed", reason, now
    db.add(job)
    facts = {"job": job.id, "reason": reason}
    record(db, actor, Tag(step.tag), now, asset=job.asset_id, version=job.raw_version_id, facts=facts)
    return job


def _prepare(
    db: Session, job: GovernanceJob, version: Version, raw: Version, results: Sequence[GovernedFile], now: datetime
) -> str:
    """Keep card and report, and the record that cites them; returns the record's hash."""
    held = queries.held_back_reasons(results)
    samples = [
        Sample(_facts(one), one.study, one.bytes)
        for one in results
        if one.outcome == GOVERNED and one.facts is not None
    ]
    card = quality_card(samples, held, asset=version.asset_id, version=version.id, root=version.root)
    kept = {
        "quality-card": documents.keep(db, "quality-card", card, now),
        "deidentification-report": documents.keep(
            db, "deidentification-report", deidentification_report(job, results), now
        ),
    }
    titles = {"quality-card": "Quality card", "deidentification-report": "De-identification report"}
    evidence = [EvidenceItem(kind=kind, sha256=sha, title=titles[kind]) for kind, sha in kept.items()]
    provider = assets.asset(db, job.asset_id).provider_id
    content = governance_record(job, version, raw, evidence, held, signer=provider)
    return documents.keep(db, RECORD_KIND, content, now)


def _facts(one: GovernedFile) -> Facts:
    assert one.facts is not None
    return Facts(**(one.facts | {"present": tuple(one.facts["present"])}))


def _record(db: Session, actor: Actor, job: GovernanceJob, version: Version, tag: Tag, now: datetime) -> None:
    facts = {
        "job": job.id,
        "parent": job.raw_version_id,
        "root": version.root,
        "files": version.files,
        "records": version.records,
        "held_back": version.left_out,
        "document": job.document,
    }
    record(db, actor, tag, now, asset=job.asset_id, version=version.id, facts=facts)
    asset = assets.asset(db, job.asset_id)
    provider = participants.participant(db, asset.provider_id)
    costing.meter(
        db,
        actor,
        "governance.scan",
        version.records,
        now,
        key=f"governance:{job.id}",
        asset=job.asset_id,
        payer=asset.provider_id,
        version=version.id,
        stage=Stage.GOVERNED,
        attributes=tariff_attributes(asset.modality, asset.body_part, provider.credit_code, provider.hospital_level),
    )
