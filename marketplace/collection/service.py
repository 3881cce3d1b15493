"""The verbs of collection: open a raw version, record a batch, seal, sign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import insert
from sqlmodel import Session

from marketplace.assets import queries as assets
from marketplace.assets import service as asset_service
from marketplace.assets.models import StageRecord, Version, VersionFile
from marketplace.assets.schemas import EvidenceItem, SignatureIn
from marketplace.assets.stages import Stage
from marketplace.audit import documents
from marketplace.audit.entry import Tag, record
from marketplace.audit.words import keep_text
from marketplace.collection import manifest, queries, rules
from marketplace.collection.manifest import LeftOut, ManifestFile
from marketplace.collection.models import CollectedBatch, CollectedFile, Collection
from marketplace.collection.receiving import Received, content_of
from marketplace.collection.rules import Copy, Reason
from marketplace.costing.service import meter
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import Conflict, Invalid
from marketplace.participants import signatures
from marketplace.plumbing.storage import ObjectStore

RECORD = "collection-record"
SIGN_AS = f"{RECORD}+jws"
MANIFEST_LIMIT = 1 << 30


class NotOpen(Conflict):
    """This version takes no more files."""


class BatchDiffers(Conflict):
    """Another tar was received under this batch label."""


class SealedOtherwise(Conflict):
    """The version was sealed with another source statement."""


class NothingAccepted(Invalid):
    """A version needs at least one accepted file."""


class NotTheRecord(Conflict):
    """The signed document is not this version's collection record."""


def open_version(db: Session, actor: Actor, asset_id: str, now: datetime) -> Version:
    """A fresh raw draft of an own asset.  Raises NoSuchAsset.  Records: collection:version_opened."""
    asset = assets.own_asset(db, actor, asset_id)

    version = asset_service.open_version(db, asset, now, kind="raw")

    facts: Json = {"number": version.number, "kind": version.kind}
    record(db, actor, Tag.VERSION_OPENED, now, asset=asset.id, version=version.id, facts=facts)
    return version


def open_for_files(db: Session, actor: Actor, version_id: str) -> Version:
    """An own raw version that still takes files.  Raises NoSuchVersion, NotOpen."""
    version = assets.own_version(db, actor, version_id)
    if version.kind != "raw" or version.stage != Stage.DRAFT or version.sealed_at is not None:
        raise NotOpen(
            "files go into a raw version that is not sealed",
            expected="an unsealed raw draft",
            got=f"a {'sealed' if version.sealed_at else 'not sealed'} {version.kind} version at stage {version.stage}",
            action="open a new version of the asset",
        )
    return version


def expect_batch(db: Session, actor: Actor, version_id: str, label: str) -> None:
    """Judge before a tar is read: the version takes files, or this batch was received before.

    Raises NoSuchVersion, NotOpen.
    """
    if queries.batch(db, assets.own_version(db, actor, version_id), label) is None:
        open_for_files(db, actor, version_id)


def record_batch(
    db: Session, actor: Actor, version_id: str, label: str, received: Sequence[Received], now: datetime
) -> Sequence[CollectedFile]:
    """Note what a tar held; the same tar under the same label again changes nothing, even after sealing.

    Raises NoSuchVersion, NotOpen, BatchDiffers.  Records: collection:batch_received.
    """
    version = assets.own_version(db, actor, version_id)
    assets.lock_version(db, version)
    known = queries.batch(db, version, label)

    content = content_of(received)
    if known is not None:
        if known.content != content:
            raise BatchDiffers(
                "another tar was received under this label", got=label, action="use one label for one tar"
            )
        return queries.batch_files(db, version, label)
    open_for_files(db, actor, version_id)

    db.add(CollectedBatch(version_id=version.id, label=label, content=content, received_at=now))
    accepted = queries.accepted_hashes(db, version, (one.sha256 for one in received))
    rows = _rows(version, label, received, accepted, queries.withdrawn_hashes(db, version.asset_id))
    if rows:
        db.exec(insert(CollectedFile), params=rows)

    left_out = rules.counts([row["reason"] for row in rows if row["reason"]])
    words = keep_text(db, label, now, (actor.participant,))
    facts: Json = {"words": words, "files": len(rows), "left_out": left_out, "content": content}
    record(db, actor, Tag.BATCH_RECEIVED, now, asset=version.asset_id, version=version.id, facts=facts)
    return queries.batch_files(db, version, label)


def seal(
    db: Session, actor: Actor, version_id: str, source_statement: str, store: ObjectStore, now: datetime
) -> Collection:
    """Make a version immutable: manifest, root, counts, and the record to be signed; sealing again changes nothing.

    Raises NoSuchVersion, NotOpen, NothingAccepted, SealedOtherwise.  Records: collection:version_sealed.
    """
    version = assets.own_version(db, actor, version_id)
    # A withdrawal of consent that comes at this moment is either seen here or sees the sealed version.
    assets.lock_asset(db, version.asset_id)
    assets.lock_version(db, version)
    if version.kind == "raw" and version.sealed_at is not None:
        return _sealed_before(db, version, source_statement)
    open_for_files(db, actor, version_id)
    received = queries.received(db, version)

    _mark_withdrawn(db, received, queries.withdrawn_hashes(db, version.asset_id))
    _mark_repeated(db, received)
    files = manifest.ordered([_manifest_file(one) for one in received if not one.reason])
    left_out = [LeftOut(one.label, one.sha256, one.reason) for one in received if one.reason]
    counts = rules.counts([one.reason for one in left_out])
    _require_any(files, counts)

    _close(db, version, files, left_out, store, now)
    document = documents.keep(db, RECORD, _record(version, counts, source_statement, actor), now)
    sealed = Collection(version_id=version.id, source_statement=source_statement, record=document, sealed_at=now)
    db.add(sealed)

    facts: Json = {"root": version.root, "manifest": version.manifest, "files": version.files, "left_out": counts}
    record(db, actor, Tag.VERSION_SEALED, now, asset=version.asset_id, version=version.id, facts=facts)
    _meter(db, actor, version, now)
    return sealed


def sign(db: Session, actor: Actor, version_id: str, signature: SignatureIn, now: datetime) -> StageRecord:
    """Take a sealed version to `collected` by its provider's signature over the collection record.

    Raises NoSuchVersion, NotSealed, NotTheRecord, BadSignature, UnknownKey, WrongState.  Records: asset:stage_reached.
    """
    version = assets.own_version(db, actor, version_id)
    sealed = queries.collection(db, version)
    stated = documents.content(db, sealed.record)

    if signature.document != sealed.record or stated["version_root"] != version.root:
        raise NotTheRecord(
            "another document was signed",
            expected=sealed.record,
            got=signature.document,
            action="sign the document that sealing prepared",
        )
    accepted = signatures.accept(db, actor.participant, signature.document, signature.jws, typ=SIGN_AS, now=now)

    return asset_service.advance(
        db,
        actor,
        version,
        Stage.COLLECTED,
        now,
        signature=accepted,
        document=sealed.record,
        evidence=[EvidenceItem(kind="manifest", sha256=version.manifest, title="Manifest of the raw version")],
        outcome="accepted",
    )


def _require_any(files: Sequence[ManifestFile], left_out: dict[str, int]) -> None:
    if not files:
        raise NothingAccepted(
            "no file of this version was accepted",
            expected="at least 1",
            got=", ".join(f"{count} x {reason}" for reason, count in left_out.items()) or "no file",
            action="send DICOM files, then seal",
        )


def _sealed_before(db: Session, version: Version, source_statement: str) -> Collection:
    sealed = queries.collection(db, version)
    if sealed.source_statement != source_statement:
        raise SealedOtherwise("the version is sealed already", action="open a new version to state another source")
    return sealed


def _rows(
    version: Version, label: str, received: Sequence[Received], accepted: set[str], withdrawn: set[str]
) -> list[Json]:
    """Rows of a batch; contents without consent, and those that the version has already, are left out."""
    rows: list[Json] = []
    seen = set(accepted)
    for one in received:
        facts = asdict(one.parsed)
        if one.sha256 in withdrawn:
            facts["reason"] = Reason.CONSENT_WITHDRAWN
        if not facts["reason"] and one.sha256 in seen:
            facts["reason"] = Reason.DUPLICATE_BYTES
        seen.add(one.sha256)
        own = {"position": one.position, "label": one.label, "sha256": one.sha256, "bytes": one.bytes}
        rows.append({"version_id": version.id, "batch": label} | own | facts | {"reason": str(facts["reason"])})
    return rows


def _mark_withdrawn(db: Session, received: Sequence[CollectedFile], withdrawn: set[str]) -> None:
    for one in received:
        if not one.reason and one.sha256 in withdrawn:
            one.reason = Reason.CONSENT_WITHDRAWN
            db.add(one)


def _mark_repeated(db: Session, received: Sequence[CollectedFile]) -> None:
    copies = [Copy((one.batch, one.position), one.sha256, one.instance) for one in received if not one.reason]
    repeated = rules.repeated(copies)
    for one in received:
        if (reason := repeated.get((one.batch, one.position))) is not None:
            one.reason = reason
            db.add(one)


def _manifest_file(one: CollectedFile) -> ManifestFile:
    path = f"{one.study}/{one.series}/{one.instance}.dcm"
    return ManifestFile(path, one.sha256, one.bytes, one.study, one.modality)


def _meter(db: Session, actor: Actor, version: Version, now: datetime) -> None:
    if stored := version.bytes // rules.GIGABYTE:
        asset, stage, key = version.asset_id, Stage.COLLECTED, f"collection:{version.id}"
        about = (db, actor, "collection.gigabyte", stored, now)
        meter(*about, key=key, asset=asset, version=version.id, stage=stage, payer=actor.participant)


def _close(
    db: Session,
    version: Version,
    files: Sequence[ManifestFile],
    left_out: Sequence[LeftOut],
    store: ObjectStore,
    now: datetime,
) -> None:
    """Write the manifest to the store, its rows and the version's figures."""
    body = manifest.document(version.id, files, left_out)
    version.root = manifest.root(files)
    version.manifest = store.put([body], limit=MANIFEST_LIMIT).sha256
    version.files = len(files)
    version.bytes = sum(file.bytes for file in files)
    version.records = len({file.study for file in files})
    version.left_out = len(left_out)
    version.sealed_at = now
    db.add(version)
    db.flush()
    rows = [asdict(file) | {"version_id": version.id, "position": position} for position, file in enumerate(files)]
    db.exec(insert(VersionFile), params=rows)


def _record(version: Version, counts: dict[str, int], source_statement: str, actor: Actor) -> Json:
    assert version.sealed_at is not None
    return {
        "type": RECORD,
        "v": 1,
        "stage": Stage.COLLECTED.value,
        "asset": version.asset_id,
        "version": version.id,
        "version_root": version.root,
        "manifest": version.manifest,
        "files": version.files,
        "records": version.records,
        "bytes": str(version.bytes),
        "left_out": counts,
        "source_statement": source_statement,
        "signer": actor.participant,
        "prepared_at": timestamp(version.sealed_at),
    }
