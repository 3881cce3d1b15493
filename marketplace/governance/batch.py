"""One batch of a job: files through the sandbox, outputs into the store, one result row per file.

Safe to run twice and to be killed anywhere: outputs are named by their bytes, results by position.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from typing import TypeAlias

from sqlmodel import Session, col, select

from marketplace.assets.models import VersionFile
from marketplace.audit.entry import Tag, record
from marketplace.governance import queries
from marketplace.governance.deidentify import GOVERNED, HELD_BACK, Done, Task, deidentify
from marketplace.governance.models import GovernanceJob, GovernedFile
from marketplace.governance.rules import JOB, JobState, batch_range
from marketplace.governance.service import FINISH_TASK
from marketplace.kernel.actor import SERVICE, SERVICE_ACTOR
from marketplace.plumbing import outbox
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.sandbox import Failure
from marketplace.plumbing.storage import StoredObject

# Results are committed this many files at a time, so that progress is seen to move.
LAST_STEP = "duplicates and quality"
CHUNK = 64
_STORE_THREADS = 4


# Position in the raw manifest and SHA-256 of each raw file.
_Files: TypeAlias = Sequence[tuple[int, str]]


@dataclass(frozen=True)
class _Work:
    secret: bytes = field(repr=False)
    faces_declared: bool
    files: _Files


def run(runtime: Runtime, job_id: str, number: int) -> None:
    """Judge the files of one batch that have no result yet; the last batch of a job asks for its finish.

    Records: governance:started and governance:judged, once each.
    """
    with runtime.database.transaction() as db:
        work = _begin(db, runtime, job_id, number)
    for chunk, outcomes in _judge(runtime, work):
        with ThreadPoolExecutor(_STORE_THREADS) as threads:
            rows = list(threads.map(lambda pair: _row(runtime, job_id, *pair), zip(chunk, outcomes, strict=True)))
        with runtime.database.transaction() as db:
            _keep(db, job_id, rows)
    with runtime.database.transaction() as db:
        _end(db, runtime, job_id)


def _judge(runtime: Runtime, work: _Work) -> Iterator[tuple[_Files, list[Done | Failure]]]:
    """Chunk by chunk, one chunk ahead: while the caller stores outputs, the children are at the next files."""
    chunks = [work.files[start : start + CHUNK] for start in range(0, len(work.files), CHUNK)]
    with ThreadPoolExecutor(1) as ahead:
        waiting: Future[list[Done | Failure]] | None = None
        for chunk, following in zip_longest(chunks, chunks[1:]):
            outcomes = waiting.result() if waiting else _ask_children(runtime, work, chunk)
            waiting = ahead.submit(_ask_children, runtime, work, following) if following else None
            yield chunk, outcomes


def _ask_children(runtime: Runtime, work: _Work, chunk: _Files) -> list[Done | Failure]:
    return runtime.pool.run(deidentify, [_task(runtime, work, raw) for _, raw in chunk])


def _begin(db: Session, runtime: Runtime, job_id: str, number: int) -> _Work:
    job = queries.job(db, job_id, lock=True)
    if not JOB.permits(JobState(job.state), "work"):
        return _Work(b"", faces_declared=False, files=())
    if job.state == JobState.QUEUED:
        _start(db, job, runtime)
    positions = batch_range(number, job.total)
    done = queries.judged(db, job.id, positions)
    rows = select(VersionFile.position, VersionFile.sha256).where(
        VersionFile.version_id == job.raw_version_id,
        col(VersionFile.position) >= positions.start,
        col(VersionFile.position) < positions.stop,
    )
    files = [(position, sha) for position, sha in db.exec(rows.order_by(col(VersionFile.position)))]
    return _Work(
        queries.secret(db, job.secret_id),
        faces_declared=job.declaration is not None,
        files=[one for one in files if one[0] not in done],
    )


def _start(db: Session, job: GovernanceJob, runtime: Runtime) -> None:
    step = JOB.step(JobState(job.state), JobState.RUNNING, {SERVICE})
    now = runtime.clock.now()
    job.state, job.step, job.started_at = JobState.RUNNING, "de-identification", now
    db.add(job)
    facts = {"job": job.id}
    record(db, SERVICE_ACTOR, Tag(step.tag), now, asset=job.asset_id, version=job.raw_version_id, facts=facts)


def _task(runtime: Runtime, work: _Work, raw: str) -> Task:
    return Task(str(runtime.store.local_path(raw)), work.secret, work.faces_declared)


def _row(runtime: Runtime, job_id: str, file: tuple[int, str], outcome: Done | Failure) -> GovernedFile:
    position, raw = file
    if isinstance(outcome, Failure):
        reason = f"governing_{outcome.reason}"
        return GovernedFile(job_id=job_id, position=position, raw=raw, outcome=HELD_BACK, reason=reason, actions={})
    stored = _store(runtime, raw, outcome) if outcome.outcome == GOVERNED else None
    return GovernedFile(
        job_id=job_id,
        position=position,
        raw=raw,
        outcome=outcome.outcome,
        reason=outcome.reason,
        tag=outcome.tag,
        output=stored.sha256 if stored else None,
        bytes=stored.size if stored else 0,
        path=outcome.path,
        study=outcome.study,
        pixels=outcome.pixel_sha256,
        facts=asdict(outcome.facts) if outcome.facts else None,
        actions=outcome.actions,
    )


def _store(runtime: Runtime, raw: str, done: Done) -> StoredObject:
    def content() -> Iterator[bytes]:
        yield done.header
        if done.pixels is not None:
            yield from runtime.store.read(raw, start=done.pixels[0], end=done.pixels[1])

    return runtime.store.put(content(), limit=(runtime.settings.upload_limit_mib + 1) << 20)


def _keep(db: Session, job_id: str, rows: Sequence[GovernedFile]) -> None:
    queries.job(db, job_id, lock=True)
    positions = [row.position for row in rows]
    known = queries.judged(db, job_id, range(min(positions), max(positions) + 1))
    db.add_all([row for row in rows if row.position not in known])


def _end(db: Session, runtime: Runtime, job_id: str) -> None:
    # The lock orders batches that end together: the later one sees the rows of the earlier.
    job = queries.job(db, job_id, lock=True)
    if JOB.permits(JobState(job.state), "work") and queries.progress(db, job_id).done == job.total:
        if job.step != LAST_STEP:
            _judged(db, job, runtime)
        outbox.enqueue(db, FINISH_TASK, {"job": job_id}, key=job_id, now=runtime.clock.now())


def _judged(db: Session, job: GovernanceJob, runtime: Runtime) -> None:
    job.step = LAST_STEP
    db.add(job)
    progress, now = queries.progress(db, job.id), runtime.clock.now()
    facts = {"job": job.id, "files": progress.done, "held_back": progress.held_back}
    record(db, SERVICE_ACTOR, Tag.GOVERNANCE_JUDGED, now, asset=job.asset_id, version=job.raw_version_id, facts=facts)
