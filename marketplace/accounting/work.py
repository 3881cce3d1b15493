"""Work that no machine counts: hours and documents that a provider states under its signature, metered once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from marketplace.accounting.schemas import WorkStatementDocument, WorkStatementIn
from marketplace.assets import queries as assets
from marketplace.assets.models import Asset
from marketplace.audit import documents
from marketplace.costing import queries as costing
from marketplace.costing.models import MeterEvent
from marketplace.costing.service import meter
from marketplace.costing.tariffs import tariff_attributes
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json, digest
from marketplace.kernel.errors import Conflict, Invalid
from marketplace.ledger.accounts import posting_rules
from marketplace.participants import queries as participants
from marketplace.participants.signatures import accept

KIND = "work-statement"
STATE_AGAIN = "state the work for the asset of this address"


class AnotherAsset(Invalid):
    """The statement is about another asset than the one it was sent for."""


class StatedOtherwise(Conflict):
    """Another statement has this reference."""


@dataclass(frozen=True)
class Work:
    """A statement that is metered.  event: id; document: SHA-256 of the statement; stage: whose cost it is."""

    event: str
    document: str
    kind: str
    stage: str
    quantity: int


def state_work(db: Session, actor: Actor, asset: Asset, asked: WorkStatementIn, now: datetime) -> Work:
    """Meter hours or documents that an asset of the caller took; the same statement again meters nothing more.

    They are rated by the tariffs in force now, for this asset and its provider; who bears the cost is who signs, so
    nobody charges another.  Raises AnotherAsset, NoSuchVersion, NoSuchParticipant, StatedOtherwise, BadSignature,
    UnknownKey.  Records: participant:signature_accepted, costing:metered.
    """
    said = asked.document
    content: Json = said.model_dump()
    key, name = f"work:{asset.id}:{said.kind}:{said.reference}", digest(content)
    known = costing.event_by_key(db, key)

    _require_about(db, actor, asset, said)
    if known is not None:
        return _same(known, name)

    readers = tuple(one for one in (actor.participant, said.payee) if one)
    document = documents.keep(db, KIND, content, now, readers=readers)
    accept(db, actor.participant, document, asked.jws, typ=f"{KIND}+jws", now=now)

    event = _meter(db, actor, asset, said, key, document, now)
    return _same(costing.event(db, event), document)


def _require_about(db: Session, actor: Actor, asset: Asset, said: WorkStatementDocument) -> None:
    if said.asset != asset.id:
        raise AnotherAsset("the statement names another asset", expected=asset.id, action=STATE_AGAIN)
    if said.version is not None and assets.own_version(db, actor, said.version).asset_id != asset.id:
        raise AnotherAsset("the statement names a version of another asset", expected=asset.id, action=STATE_AGAIN)
    if said.payee is not None:
        participants.participant(db, said.payee)


def _meter(
    db: Session, actor: Actor, asset: Asset, said: WorkStatementDocument, key: str, document: str, now: datetime
) -> str:
    bearer = participants.participant(db, asset.provider_id)
    attributes = tariff_attributes(asset.modality, asset.body_part, bearer.credit_code, bearer.hospital_level)
    return meter(
        db,
        actor,
        said.kind,
        said.quantity,
        now,
        key=key,
        asset=asset.id,
        version=said.version,
        stage=posting_rules().rule(said.kind).stage,
        payer=asset.provider_id,
        payee=said.payee,
        attributes=attributes | {"statement": document},
    )


def _same(event: MeterEvent, document: str) -> Work:
    """The work of an event that this very statement metered.  Raises StatedOtherwise."""
    if event.attributes.get("statement") != document:
        raise StatedOtherwise(
            "this reference was used for another statement",
            expected=str(event.attributes.get("statement")),
            got=document,
            action="give what is new a reference of its own",
        )
    return Work(event.id, document, event.kind, event.stage or "", event.quantity)
