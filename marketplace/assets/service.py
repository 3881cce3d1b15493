"""The verbs of assets: register, advance a stage, suspend, resume, retire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session

from marketplace.assets import queries
from marketplace.assets.models import Asset, StageRecord, Version
from marketplace.assets.schemas import AssetRegistration, EvidenceItem
from marketplace.assets.stages import STAGES, Stage
from marketplace.audit.entry import Tag, record
from marketplace.audit.words import keep_text, keep_why
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.errors import Conflict, Forbidden
from marketplace.kernel.ids import new_id
from marketplace.kernel.transitions import Step, WrongState
from marketplace.participants.signatures import Signature
from marketplace.plumbing import epochs
from marketplace.plumbing.epochs import Stop


class NotAProvider(Forbidden):
    """Only a provider registers assets."""


class NotYourSuspension(Forbidden):
    """Another party suspended it."""


class ConsentWithdrawn(Conflict):
    """Consent was withdrawn for files of this version."""


def register(db: Session, actor: Actor, asked: AssetRegistration, now: datetime) -> Asset:
    """Open an asset for the calling provider, with an empty first version left to collection.

    Raises NotAProvider.  Records: asset:registered.
    """
    if not actor.has(Role.PROVIDER):
        raise NotAProvider("registering an asset needs the role provider", got=", ".join(sorted(actor.roles)))

    asset = Asset(id=new_id("ast"), provider_id=actor.participant, registered_at=now, **asked.model_dump())
    db.add(asset)
    db.flush()

    words = keep_text(db, f"{asset.name} / {asset.name_en}", now, (actor.participant,))
    record(db, actor, Tag.ASSET_REGISTERED, now, asset=asset.id, facts={"words": words})
    return asset


def open_version(db: Session, asset: Asset, now: datetime, *, kind: str, parent: Version | None = None) -> Version:
    """A fresh draft version, numbered after the last; kind: `raw` or `governed`."""
    number = len(queries.versions(db, asset.id)) + 1
    version = Version(
        id=new_id("ver"),
        asset_id=asset.id,
        number=number,
        kind=kind,
        parent_id=parent.id if parent else None,
        created_at=now,
    )
    db.add(version)
    db.flush()
    epochs.open_epoch(db, version.id)
    return version


def advance(
    db: Session,
    actor: Actor,
    version: Version,
    stage: Stage,
    now: datetime,
    *,
    signature: Signature,
    document: str,
    evidence: Sequence[EvidenceItem],
    outcome: str,
) -> StageRecord:
    """Write the passport's next line once its signer's signature has been accepted.

    The calling room has proven the stage's own facts; here only the stage table judges.
    Raises WrongState, NotYourStep.  Records: asset:stage_reached.
    """
    queries.lock_version(db, version)

    step = STAGES.step(Stage(version.stage), stage, actor.roles)
    _require_no_resumption(version, step)

    version.stage = stage
    items = [item.model_dump() for item in evidence]
    # Titles are words that somebody typed, so they stay on the row: an entry that names a person could never be mended.
    cited = [item.model_dump(exclude={"title"}) for item in evidence]
    entry_id = record(
        db,
        actor,
        Tag(step.tag),
        now,
        asset=version.asset_id,
        version=version.id,
        facts={"stage": stage, "root": version.root, "document": document, "outcome": outcome, "evidence": cited},
    )
    row = StageRecord(
        id=new_id("stg"),
        version_id=version.id,
        stage=stage,
        signer=signature.signer,
        kid=signature.kid,
        alg=signature.alg,
        jws=signature.jws,
        document=document,
        evidence=items,
        outcome=outcome,
        recorded_at=now,
        entry_id=entry_id,
    )
    db.add(version)
    db.add(row)
    db.flush()
    return row


def suspend(db: Session, actor: Actor, version: Version, reason: str, now: datetime) -> Version:
    """Stop every use of a version at once.  reason: the caller's own code, for the log.

    Raises WrongState, NotYourStep.  Records: asset:version_suspended.
    """
    entry = freeze(db, actor, version, Stop.VERSION_SUSPENDED, reason, now)
    epochs.stop(db, (version.id,), Stop.VERSION_SUSPENDED, actor, entry, now)
    return version


def freeze(db: Session, actor: Actor, version: Version, cause: Stop, reason: str, now: datetime) -> str:
    """Suspend a version for a cause and return the entry's id; the calling verb stops its uses, also those of others.

    Raises WrongState, NotYourStep.  Records: asset:version_suspended.
    """
    queries.lock_version(db, version)

    step = STAGES.step(Stage(version.stage), Stage.SUSPENDED, actor.roles)

    version.stage_before, version.stage = version.stage, Stage.SUSPENDED
    version.stop_reason, version.stopped_by = cause, actor.participant
    db.add(version)

    facts = {**keep_why(db, reason, "", now, (actor.participant,)), "cause": str(cause)}
    return record(db, actor, Tag(step.tag), now, asset=version.asset_id, version=version.id, facts=facts)


def bar(db: Session, actor: Actor, version: Version, now: datetime) -> None:
    """Put a version out of use for good, since consent was withdrawn; the calling verb stops its uses.

    Records: asset:version_suspended, unless the version was suspended before, or is in a stage without uses.
    """
    queries.lock_version(db, version)

    if any(row.source == version.stage and row.target == Stage.SUSPENDED for row in STAGES.steps):
        freeze(db, actor, version, Stop.CONSENT_WITHDRAWN, Stop.CONSENT_WITHDRAWN, now)
    version.stop_reason, version.stopped_by = Stop.CONSENT_WITHDRAWN, actor.participant
    db.add(version)


def resume(db: Session, actor: Actor, version: Version, reason: str, now: datetime) -> Version:
    """Return a suspended version to the stage it had.

    Raises WrongState, NotYourStep, NotYourSuspension, ConsentWithdrawn.  Records: asset:version_resumed.
    """
    queries.lock_version(db, version)
    target = Stage(version.stage_before or Stage.DRAFT)

    step = STAGES.step(Stage(version.stage), target, actor.roles)
    if version.stop_reason == Stop.CONSENT_WITHDRAWN:
        raise ConsentWithdrawn(
            "a version with files whose consent was withdrawn is used no more",
            expected="a new version without these files",
            got=version.id,
            action="retire it, and collect the other files as a new version",
        )
    if version.stopped_by != actor.participant:
        raise NotYourSuspension("only who suspended a version resumes it", expected=version.stopped_by)

    version.stage, version.stage_before = target, None
    version.stop_reason, version.stopped_by = "", ""
    db.add(version)

    facts = keep_why(db, reason, "", now, (actor.participant,))
    record(db, actor, Tag(step.tag), now, asset=version.asset_id, version=version.id, facts=facts)
    return version


def retire(db: Session, actor: Actor, version: Version, reason: str, now: datetime) -> Version:
    """End a version for good; running uses stop.  Raises WrongState, NotYourStep.  Records: asset:version_retired."""
    queries.lock_version(db, version)

    step = STAGES.step(Stage(version.stage), Stage.RETIRED, actor.roles)
    cause = Stop.CONSENT_WITHDRAWN if version.stop_reason == Stop.CONSENT_WITHDRAWN else Stop.VERSION_RETIRED

    version.stage = Stage.RETIRED
    version.stop_reason, version.stopped_by = cause, actor.participant
    db.add(version)

    facts = {**keep_why(db, reason, "", now, (actor.participant,)), "cause": str(cause)}
    entry = record(db, actor, Tag(step.tag), now, asset=version.asset_id, version=version.id, facts=facts)
    epochs.stop(db, (version.id,), cause, actor, entry, now)
    return version


def _require_no_resumption(version: Version, step: Step) -> None:
    """A signed stage record is no way out of a suspension, though the table leads back to the same stages."""
    if step.tag != Tag.STAGE_REACHED:
        raise WrongState(
            "the version is suspended", expected="a stage of the passport", got=version.stage, action="resume it first"
        )
