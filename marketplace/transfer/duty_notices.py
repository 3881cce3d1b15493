"""Reminders and demands of a buyer's duties: signed notices to both parties, in the same inbox as those of stops."""

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
from marketplace.negotiation.duties.rules import MISSING, DutyState, Kind
from marketplace.negotiation.models import Agreement
from marketplace.transfer import queries
from marketplace.transfer.models import StopNotice
from marketplace.transfer.notices import issue

KIND = "duty-notice"
_SAID = {DutyState.REMINDED: "reminder", DutyState.DEMANDED: "demand", DutyState.OVERDUE: "missing"}


def notify(db: Session, told: Json, key: SigningKey, now: datetime) -> StopNotice | None:
    """Write the notice of one step of a duty; None when it was written before.

    told: what `negotiation.duties.chasing` put into the outbox.  Records: transfer:duty_notified.
    """
    agreement = negotiation.agreement(db, told["agreement"])
    negotiation.lock_agreement(db, agreement)

    if queries.notice_of(db, agreement.id, told["entry"]) is not None:
        return None

    notice_id, reason = new_id("ntc"), reason_of(told)
    parties = (agreement.provider_id, agreement.buyer_id)
    content = _render(notice_id, agreement, told, now)
    notice = issue(
        db,
        content,
        key,
        now,
        agreement=agreement.id,
        entry=told["entry"],
        by=SERVICE,
        at=parse_timestamp(told["said_at"]),
        readers=parties,
    )

    facts: Json = {"notice": notice_id, "document": notice.document, "reason": reason, "about": told["entry"]}
    about = {"asset": agreement.asset_id, "version": agreement.version_id, "agreement": agreement.id}
    record(db, SERVICE_ACTOR, Tag.DUTY_NOTIFIED, now, **about, facts=facts)
    return notice


def reason_of(told: Json) -> str:
    """The code of a step: `use_report_reminder`, `use_report_demand`, `use_report_missing`, and so for deletion."""
    return MISSING[Kind(told["duty"])].replace("missing", _SAID[DutyState(told["step"])])


def _render(notice_id: str, agreement: Agreement, told: Json, now: datetime) -> Json:
    """The document of `contracts/documents/duty-notice.schema.json`."""
    return {
        "type": KIND,
        "v": 1,
        "notice": notice_id,
        "agreement": {"id": agreement.id, "sha256": agreement.document},
        "provider": agreement.provider_id,
        "buyer": agreement.buyer_id,
        "duty": told["duty"],
        "reason": reason_of(told),
        "since": told["since"],
        "due_at": told["due_at"],
        "consequence_at": told["consequence_at"],
        "entry": told["entry"],
        "made_at": timestamp(now),
    }
