"""Preparing a delivery once an agreement is final: the files as they may leave, their manifest, its signature.

Long work without a lock: read, remake files in the sandbox, and only then one transaction.  Running it twice makes the
same files; the second run finds the delivery and stops.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from marketplace.assets import queries as assets
from marketplace.assets.models import Asset, Version, VersionFile
from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Unavailable
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.queries import agreement as agreement_of
from marketplace.participants import queries as participants
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.sandbox import Failure
from marketplace.transfer import queries
from marketplace.transfer.body import Part, hash_of, tar_body
from marketplace.transfer.manifest import DeliveredFile, keep_signed, notice, render
from marketplace.transfer.models import Delivery, DeliveryFile
from marketplace.transfer.pseudonyms import Job, Remade, pseudonymise
from marketplace.usage.facts import compile_uses
from marketplace.usage.obligations import Transformation, enforced

ROUND_BYTES = 64 << 20
NOTICE = "NOTICE.txt"


class FileNotRemade(Unavailable):
    """A file of the version could not be made ready for delivery."""


@dataclass(frozen=True)
class Plan:
    """What a delivery is made from.  uses: compiled uses; duties: of all permissions, as data."""

    agreement: Agreement
    asset: Asset
    version: Version
    sources: Sequence[VersionFile]
    provider_name: str
    uses: Json
    duties: list[Json]

    @property
    def transformations(self) -> list[Transformation]:
        return enforced(self.duties)


def prepare(runtime: Runtime, agreement_id: str) -> str | None:
    """Make the delivery of a finalized agreement; returns the SHA-256 of its signed manifest.

    None when the agreement is not final (any more).  Raises FileNotRemade.  Records: transfer:delivery_prepared.
    """
    with runtime.database.reading() as db:
        if (known := queries.delivery(db, agreement_id)) is not None:
            return known.manifest
        plan = _plan(db, agreement_id)
    if plan.agreement.state != "finalized":
        return None

    files = sorted(_make(runtime, plan), key=lambda one: one.part.path.encode())
    tar = tar_body([one.part for one in files])
    tar_hash = hash_of(tar, runtime.store)

    with runtime.database.transaction() as db:
        return _keep(db, runtime, plan, files, (tar_hash, tar.size), runtime.clock.now())


def _plan(db: Session, agreement_id: str) -> Plan:
    agreement = agreement_of(db, agreement_id)
    uses = compile_uses(agreement.uses).model_dump()
    version = assets.version(db, agreement.version_id)
    provider = participants.participant(db, agreement.provider_id)
    return Plan(
        agreement,
        assets.asset(db, agreement.asset_id),
        version,
        assets.files(db, version.id),
        f"{provider.legal_name} / {provider.legal_name_en}",
        uses,
        _unique([duty for permission in uses["permissions"] for duty in permission["duties"]]),
    )


def _keep(
    db: Session, runtime: Runtime, plan: Plan, files: list[DeliveredFile], tar: tuple[str, int], now: datetime
) -> str:
    agreement = agreement_of(db, plan.agreement.id)
    if (known := queries.delivery(db, agreement.id)) is not None:
        return known.manifest

    applied = [str(one) for one in plan.transformations]
    content = render(agreement, plan.version, files, transformations=applied, duties=plan.duties, tar=tar, now=now)
    name = keep_signed(db, content, agreement, runtime.service_key, now)
    total = sum(one.part.bytes for one in files)
    _add_rows(db, agreement.id, name, files, tar, applied, now)

    facts: Json = {"manifest": name, "files": len(files), "bytes": total, "tar": tar[0], "transformations": applied}
    record(
        db,
        SERVICE_ACTOR,
        Tag.DELIVERY_PREPARED,
        now,
        asset=agreement.asset_id,
        version=agreement.version_id,
        agreement=agreement.id,
        facts=facts,
    )
    return name


def _add_rows(
    db: Session,
    agreement_id: str,
    manifest: str,
    files: list[DeliveredFile],
    tar: tuple[str, int],
    applied: list[str],
    now: datetime,
) -> None:
    db.add(
        Delivery(
            agreement_id=agreement_id,
            manifest=manifest,
            files=len(files),
            bytes=sum(one.part.bytes for one in files),
            tar_sha256=tar[0],
            tar_bytes=tar[1],
            transformations=applied,
            prepared_at=now,
        )
    )
    db.flush()
    db.add_all(_row(agreement_id, position, one) for position, one in enumerate(files))


def _row(agreement_id: str, position: int, one: DeliveredFile) -> DeliveryFile:
    return DeliveryFile(
        agreement_id=agreement_id,
        position=position,
        path=one.part.path,
        sha256=one.part.sha256,
        bytes=one.part.bytes,
        source_path=one.source_path,
        source_sha256=one.source_sha256,
    )


def _make(runtime: Runtime, plan: Plan) -> Iterator[DeliveredFile]:
    if Transformation.ATTRIBUTE in plan.transformations:
        text = notice(plan.agreement, plan.asset, plan.version, plan.provider_name, plan.uses)
        yield DeliveredFile(_store(runtime, NOTICE, text), None, None)
    if Transformation.PSEUDONYMISE not in plan.transformations:
        for source in plan.sources:
            yield DeliveredFile(Part(source.path, source.sha256, source.bytes), source.path, source.sha256)
        return
    secret = agreement_secret(runtime, plan.agreement.id)
    for round_ in _rounds(plan.sources):
        yield from _remake_round(runtime, round_, secret, plan.agreement.id)


def _remake_round(runtime: Runtime, sources: list[VersionFile], secret: bytes, mark: str) -> Iterator[DeliveredFile]:
    jobs = [Job(str(runtime.store.local_path(one.sha256)), secret, mark) for one in sources]
    remade: list[Remade] = []
    for source, made in zip(sources, runtime.pool.run(pseudonymise, jobs), strict=True):
        if isinstance(made, Failure):
            raise FileNotRemade("a file of the version could not be remade", expected=source.path, got=made.reason)
        remade.append(made)
    with ThreadPoolExecutor(8) as writers:
        parts = writers.map(lambda one: _store(runtime, one.path, one.body), remade)
        for source, part in zip(sources, parts, strict=True):
            yield DeliveredFile(part, source.path, source.sha256)


def _rounds(sources: Sequence[VersionFile]) -> Iterator[list[VersionFile]]:
    """Files in rounds of bounded size, so that memory does not grow with the version."""
    waiting: list[VersionFile] = []
    size = 0
    for source in sources:
        waiting.append(source)
        size += source.bytes
        if size >= ROUND_BYTES:
            yield waiting
            waiting, size = [], 0
    if waiting:
        yield waiting


def agreement_secret(runtime: Runtime, agreement_id: str) -> bytes:
    """The key of an agreement's pseudonyms, derived from the instance's own secret: it lies in no database."""
    return hmac.digest(runtime.pseudonym_secret, b"pseudonyms/" + agreement_id.encode(), "sha256")


def _store(runtime: Runtime, path: str, content: bytes) -> Part:
    stored = runtime.store.put([content], limit=len(content))
    return Part(path, stored.sha256, stored.size)


def _unique(duties: list[Json]) -> list[Json]:
    return [duty for at, duty in enumerate(duties) if duty not in duties[:at]]
