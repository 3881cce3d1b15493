"""Payments that the bank returned: a signed notice to whoever was to be paid, in the inbox of all notices."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import parse_timestamp, timestamp
from marketplace.kernel.ids import new_id
from marketplace.kernel.signing import SigningKey
from marketplace.transfer import queries
from marketplace.transfer.models import StopNotice
from marketplace.transfer.notices import issue

KIND = "payment-notice"
REASON = "payment_returned"


def notify(db: Session, told: Json, key: SigningKey, now: datetime) -> StopNotice | None:
    """Write the notice of a transfer that came back; None when it was written before.

    told: what `settlement.returning` put into the outbox.  Records: transfer:payment_notified.
    """
    if queries.notice_about(db, told["entry"]) is not None:
        return None

    notice_id = new_id("ntc")
    content = _render(notice_id, told, now)
    notice = issue(
        db,
        content,
        key,
        now,
        agreement=None,
        entry=told["entry"],
        by=told["payer"],
        at=parse_timestamp(told["said_at"]),
        readers=(content["payee"],),
    )

    facts: Json = {"notice": notice_id, "document": notice.document, "reason": REASON, "about": told["entry"]}
    record(db, SERVICE_ACTOR, Tag.PAYMENT_NOTIFIED, now, facts=facts)
    return notice


def _render(notice_id: str, told: Json, now: datetime) -> Json:
    """The document of `contracts/documents/payment-notice.schema.json`."""
    return {
        "type": KIND,
        "v": 1,
        "notice": notice_id,
        "payer": told["payer"],
        "payee": told["owner"].partition(":")[0],
        "owner": told["owner"],
        "reason": REASON,
        "about": told["about"],
        "amount_fen": told["amount_fen"],
        "order": told["order"],
        "transfer": told["transfer"],
        "said_at": told["said_at"],
        "entry": told["entry"],
        "made_at": timestamp(now),
    }
