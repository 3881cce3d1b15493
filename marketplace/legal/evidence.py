"""Files that findings may cite: kept by the SHA-256 of their exact bytes."""

from __future__ import annotations

import base64 as encoding
import binascii
from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.errors import Forbidden, Invalid, shown
from marketplace.kernel.ids import new_id
from marketplace.legal import checklist as checklists
from marketplace.legal import queries
from marketplace.legal.models import Evidence
from marketplace.legal.schemas import EVIDENCE_LIMIT, EvidenceIn
from marketplace.plumbing.storage import ObjectStore, StoredObject


class UnknownEvidenceKind(Invalid):
    """The checklist names no such kind of evidence."""


class UnreadableEvidence(Invalid):
    """The content is not base64."""


class NotYourEvidence(Forbidden):
    """Only the provider and a law firm add evidence to an asset."""


def add(db: Session, actor: Actor, asked: EvidenceIn, store: ObjectStore, now: datetime) -> Evidence:
    """Keep a small file that findings on an asset may cite; the same bytes again change nothing.

    Raises NoSuchAsset, NotYourEvidence, UnknownEvidenceKind, UnreadableEvidence, ObjectTooLarge.
    Records: legal:evidence_added.
    """
    asset = queries.assessed_asset(db, actor, asked.asset)

    if asset.provider_id != actor.participant and not actor.has(Role.LAW_FIRM):
        raise NotYourEvidence("adding evidence is for the asset's provider and law firms", got=actor.participant)
    kinds = checklists.current().evidence_kinds
    if asked.kind not in kinds:
        raise UnknownEvidenceKind("unknown kind", expected=", ".join(sorted(kinds)), got=shown(asked.kind))
    stored = store.put([_content(asked)], limit=EVIDENCE_LIMIT)
    known = queries.evidence_row(db, asset.id, stored.sha256)
    if known is not None:
        return known

    row = _row(actor, asked, stored, now)
    db.add(row)
    db.flush()

    facts = {"kind": row.kind, "sha256": row.sha256, "bytes": row.bytes}
    record(db, actor, Tag.EVIDENCE_ADDED, now, asset=asset.id, facts=facts)
    return row


def _row(actor: Actor, asked: EvidenceIn, stored: StoredObject, now: datetime) -> Evidence:
    return Evidence(
        id=new_id("evd"),
        asset_id=asked.asset,
        sha256=stored.sha256,
        kind=asked.kind,
        title=asked.title,
        owner_id=actor.participant,
        media_type=asked.media_type,
        bytes=stored.size,
        added_at=now,
    )


def _content(asked: EvidenceIn) -> bytes:
    if asked.text is not None:
        return asked.text.encode()
    try:
        return encoding.b64decode(asked.base64 or "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnreadableEvidence("the content is not base64", expected="RFC 4648 base64") from error
