"""Preparing a delivery once an agreement is final: the files as they may leave, their manifest, its signature.

Long work without a lock: read, remake files in the sandbox, and only then one transaction.  Running it twice makes the
same files; the second run finds the delivery and stops.
"""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.kernel.canonical import Json
from marketplace.negotiation.queries import agreement as agreement_of
from marketplace.plumbing import bell
from marketplace.plumbing.runtime import Runtime
from marketplace.transfer import queries
from marketplace.transfer.body import hash_of, tar_body
from marketplace.transfer.making import make, mark_under
from marketplace.transfer.manifest import DeliveredFile, keep_signed, render
from marketplace.transfer.models import Delivery, DeliveryFile
from marketplace.transfer.plan import Plan, plan_of


def topic_of(agreement_id: str) -> str:
    """What rings when the delivery of an agreement is prepared."""
    return f"delivery of {agreement_id}"


def prepare(runtime: Runtime, agreement_id: str) -> str | None:
    """Make the delivery of a finalized agreement; returns the SHA-256 of its signed manifest.

    None when the agreement is not final (any more).  Raises FileNotRemade.  Records: transfer:delivery_prepared.
    """
    with runtime.database.reading() as db:
        if (known := queries.delivery(db, agreement_id)) is not None:
            return known.manifest
        plan = plan_of(db, agreement_id)
    if plan.agreement.state != "finalized":
        return None

    files = sorted(make(runtime, plan), key=lambda one: one.part.path.encode())
    tar = tar_body([one.part for one in files])
    tar_hash = hash_of(tar, runtime.store)

    with runtime.database.transaction() as db:
        return _keep(db, runtime, plan, files, (tar_hash, tar.size), runtime.clock.now())


def _keep(
    db: Session, runtime: Runtime, plan: Plan, files: list[DeliveredFile], tar: tuple[str, int], now: datetime
) -> str:
    agreement = agreement_of(db, plan.agreement.id)
    if (known := queries.delivery(db, agreement.id)) is not None:
        return known.manifest

    mark = mark_under(runtime, plan)
    content = render(plan, files, mark=mark, tar=tar, now=now)
    name = keep_signed(db, content, agreement, runtime.service_key, now)
    _add_rows(db, plan, name, files, tar, now)

    facts: Json = {
        "manifest": name,
        "files": len(files),
        "bytes": sum(one.part.bytes for one in files),
        "tar": tar[0],
        "transformations": [str(one) for one in plan.transformations],
        "output": plan.output,
        "records": plan.records,
        "smallest_group": plan.smallest_group,
        "withheld": [one.as_json() for one in plan.selection.withheld],
    }
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
    bell.ask(db, topic_of(agreement.id))
    return name


def _add_rows(
    db: Session, plan: Plan, manifest: str, files: list[DeliveredFile], tar: tuple[str, int], now: datetime
) -> None:
    db.add(
        Delivery(
            agreement_id=plan.agreement.id,
            manifest=manifest,
            files=len(files),
            bytes=sum(one.part.bytes for one in files),
            tar_sha256=tar[0],
            tar_bytes=tar[1],
            transformations=plan.leaving.applied(),
            output=plan.output,
            smallest_group=plan.smallest_group,
            prepared_at=now,
        )
    )
    db.flush()
    db.add_all(_row(plan.agreement.id, position, one) for position, one in enumerate(files))


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
