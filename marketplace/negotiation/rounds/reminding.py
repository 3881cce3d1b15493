"""Before a deadline the side whose move it is is reminded: once per deadline, by an entry and a signed notice.

A negotiation that moved is not reminded of the deadline it had; its reminder looks again when it is time for the next.
"""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp
from marketplace.negotiation import queries
from marketplace.negotiation.models import AccessRequest
from marketplace.negotiation.rounds.models import NegotiationReminder
from marketplace.negotiation.rules import OPEN, Side, State, whose_move
from marketplace.negotiation.steps import record_request, remind_at, watch
from marketplace.plumbing import outbox

NOTIFY_TASK = "transfer.notify_negotiation"


def remind(db: Session, request_id: str, now: datetime) -> NegotiationReminder | None:
    """Remind the side whose move it is; None when it moved in time, or was reminded of this deadline before.

    Records: negotiation:request_reminded.
    """
    request = queries.held(db, request_id)
    side = whose_move(State(request.state), request.reason)

    if request.state in OPEN and now < remind_at(request):
        watch(db, request, now)
        return None
    if side not in {Side.BUYER, Side.PROVIDER} or now >= request.expires_at:
        return None
    if db.get(NegotiationReminder, (request.id, request.expires_at)) is not None:
        return None

    entry = record_request(db, SERVICE_ACTOR, Tag.REQUEST_REMINDED, request, now, {"side": str(side)})
    reminder = NegotiationReminder(
        request_id=request.id, deadline=request.expires_at, side=side, reminded_at=now, entry_id=entry
    )
    db.add(reminder)
    db.flush()
    outbox.enqueue(db, NOTIFY_TASK, _told(request, reminder), key=entry, now=now)
    return reminder


def _told(request: AccessRequest, reminder: NegotiationReminder) -> Json:
    """What the notice says, as values: the negotiation may have moved on when it is written."""
    return {
        "request": request.id,
        "agreement": request.agreement_id,
        "state": request.state,
        "side": reminder.side,
        "deadline": timestamp(reminder.deadline),
        "entry": reminder.entry_id,
        "said_at": timestamp(reminder.reminded_at),
    }
