"""What may be answered by a rule leaves an outbox row in the transaction that put it on the table."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.kernel.clock import timestamp
from marketplace.negotiation.models import AccessRequest
from marketplace.negotiation.rounds import queries
from marketplace.negotiation.rounds.models import Proposal
from marketplace.plumbing import outbox

ANSWER_TASK = "negotiation.answer"
ACCEPT_TASK = "negotiation.accept"


def ask_for_answer(db: Session, request: AccessRequest, latest: Proposal | None, now: datetime) -> None:
    """Have the provider's rule asked once about what lies on the table now; nothing where there is no such rule."""
    rule = queries.rule(db, request.listing_id)
    if rule is None or rule.automatic is None or latest is None:
        return
    # A completed request is in the same round as before it was returned.
    key = f"{latest.document}:{request.reason}:{timestamp(request.expires_at)}"
    outbox.enqueue(db, ANSWER_TASK, {"request": request.id}, key=key, now=now)


def ask_for_acceptance(db: Session, request: AccessRequest, now: datetime) -> None:
    """Have the buyer's rule asked once about the agreement that was offered; nothing where there is no such rule."""
    rule = queries.acceptance_rule(db, request.buyer_id, request.listing_id)
    if rule is None or rule.automatic is None or request.agreement_id is None:
        return
    outbox.enqueue(db, ACCEPT_TASK, {"request": request.id}, key=request.agreement_id, now=now)
