"""Reminders of a negotiation's deadline: a signed notice to the side whose move it is, in the inbox of all notices."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import SERVICE, SERVICE_ACTOR
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import parse_timestamp, timestamp
from marketplace.kernel.ids import new_id
from marketplace.kernel.signing import SigningKey
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import AccessRequest
from marketplace.negotiation.rules import Side
from marketplace.transfer import queries
from marketplace.transfer.models import StopNotice
from marketplace.transfer.notices import issue

KIND = "negotiation-notice"
REASON = "answer_due"


def notify(db: Session, told: Json, key: SigningKey, now: datetime) -> StopNotice | None:
    """Write the notice of one reminder; None when it was written before.

    told: what `negotiation.rounds.reminding` put into the outbox.  Records: transfer:negotiation_notified.
    """
    request = negotiation.request(db, told["request"])
    negotiation.lock(db, request)

    if queries.notice_about(db, told["entry"]) is not None:
        return None

    notice_id, reader = new_id("ntc"), _reader(request, told)
    content = _render(notice_id, request, told, now)
    notice = issue(
        db,
        content,
        key,
        now,
        agreement=told["agreement"],
        entry=told["entry"],
        by=SERVICE,
        at=parse_timestamp(told["said_at"]),
        readers=(reader,),
    )

    facts: Json = {"notice": notice_id, "document": notice.document, "reason": REASON, "about": told["entry"]}
    record(db, SERVICE_ACTOR, Tag.NEGOTIATION_NOTIFIED, now, agreement=told["agreement"], facts=facts)
    return notice


def _reader(request: AccessRequest, told: Json) -> str:
    return request.buyer_id if told["side"] == Side.BUYER else request.provider_id


def _render(notice_id: str, request: AccessRequest, told: Json, now: datetime) -> Json:
    """The document of `contracts/documents/negotiation-notice.schema.json`."""
    return {
        "type": KIND,
        "v": 1,
        "notice": notice_id,
        "request": request.id,
        "listing": request.listing_id,
        "provider": request.provider_id,
        "buyer": request.buyer_id,
        "state": told["state"],
        "next": told["side"],
        "reason": REASON,
        "deadline": told["deadline"],
        "entry": told["entry"],
        "made_at": timestamp(now),
    }
