"""What follows a signed agreement, told to both parties: signed notices in the same inbox as those of stops."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import parse_timestamp, timestamp
from marketplace.kernel.ids import new_id
from marketplace.kernel.signing import SigningKey
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import Agreement
from marketplace.transfer import queries
from marketplace.transfer.models import StopNotice
from marketplace.transfer.notices import issue

KIND = "contract-notice"


def notify(db: Session, told: Json, key: SigningKey, now: datetime) -> StopNotice | None:
    """Write the notice of an act, a successor or an assignment; None when it was written before.

    told: what `negotiation.succession.notices` put into the outbox.  Records: transfer:contract_notified.
    """
    agreement = negotiation.agreement(db, told["agreement"])
    negotiation.lock_agreement(db, agreement)

    if queries.notice_of(db, agreement.id, told["entry"]) is not None:
        return None

    notice_id, parties = new_id("ntc"), (agreement.provider_id, agreement.buyer_id)
    content = _render(notice_id, agreement, told, now)
    notice = issue(
        db,
        content,
        key,
        now,
        agreement=agreement.id,
        entry=told["entry"],
        by=told["party"],
        at=parse_timestamp(told["said_at"]),
        readers=parties,
    )

    facts: Json = {"notice": notice_id, "document": notice.document, "reason": told["reason"], "about": told["entry"]}
    about = {"asset": agreement.asset_id, "version": agreement.version_id, "agreement": agreement.id}
    record(db, SERVICE_ACTOR, Tag.CONTRACT_NOTIFIED, now, **about, facts=facts)
    return notice


def _render(notice_id: str, agreement: Agreement, told: Json, now: datetime) -> Json:
    """The document of `contracts/documents/contract-notice.schema.json`."""
    return {
        "type": KIND,
        "v": 1,
        "notice": notice_id,
        "agreement": {"id": agreement.id, "sha256": agreement.document},
        "provider": agreement.provider_id,
        "buyer": agreement.buyer_id,
        "reason": told["reason"],
        "party": told["party"],
        "about": told["about"],
        "said_at": told["said_at"],
        "entry": told["entry"],
        "made_at": timestamp(now),
    }
