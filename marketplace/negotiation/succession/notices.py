"""Asking for a notice: what follows a signed agreement is told to both sides, as stops and duties are."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.kernel.clock import timestamp
from marketplace.negotiation.models import Agreement
from marketplace.plumbing import outbox

NOTIFY_TASK = "transfer.notify_contract"


def tell(db: Session, agreement: Agreement, reason: str, *, party: str, about: str, entry: str, now: datetime) -> None:
    """Have both sides told in the present transaction's wake.

    reason: a code of `contracts/documents/contract-notice.schema.json`; party: who did it, or has to; about: SHA-256
    of the act or successor; entry: id of the entry that recorded it.
    """
    told = {
        "agreement": agreement.id,
        "reason": reason,
        "party": party,
        "about": about,
        "entry": entry,
        "said_at": timestamp(now),
    }
    outbox.enqueue(db, NOTIFY_TASK, told, key=entry, now=now)
