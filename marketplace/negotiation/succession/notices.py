"""Asking for a notice: what follows a signed agreement is told to both sides, and deadlines are watched."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.kernel.clock import timestamp
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.rules import REMIND_BEFORE
from marketplace.negotiation.succession.models import AgreementSuccessor
from marketplace.plumbing import outbox

NOTIFY_TASK = "transfer.notify_contract"
LAPSE_TASK = "negotiation.lapse_successor"
REMIND_TASK = "negotiation.remind_successor"


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


def ask_for_deadline(db: Session, follows: AgreementSuccessor, now: datetime) -> None:
    """Have who must move reminded before a successor's deadline, and the successor ended at it."""
    key, deadline = f"{follows.agreement_id}:{timestamp(follows.expires_at)}", follows.expires_at
    args = {"agreement": follows.agreement_id}
    outbox.enqueue(db, REMIND_TASK, args, key=key, now=now, due=deadline - REMIND_BEFORE)
    outbox.enqueue(db, LAPSE_TASK, args, key=key, now=now, due=deadline)
