"""What the clock does with an act that its side has not signed: it is reminded, and the other side told."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.succession import queries
from marketplace.negotiation.succession.acts import record_act
from marketplace.negotiation.succession.models import AgreementAct
from marketplace.negotiation.succession.notices import tell
from marketplace.negotiation.succession.rules import CHASE_AFTER, ActState


def chase(db: Session, agreement_id: str, document: str, now: datetime) -> AgreementAct:
    """Remind a side that an act of its own lacks its signature, once for each moment at which that is due.

    Records: negotiation:act_chased, while it is not signed.
    """
    agreement = negotiation.agreement(db, agreement_id)
    negotiation.lock_agreement(db, agreement)
    act = queries.act(db, agreement_id, document)

    due = [act.made_at + wait for wait in CHASE_AFTER if act.made_at + wait <= now]
    if act.state != ActState.UNSIGNED or not due or (act.chased_at is not None and act.chased_at >= due[-1]):
        return act

    act.chased_at = now
    db.add(act)

    entry = record_act(db, SERVICE_ACTOR, Tag.ACT_CHASED, agreement, act, now)
    tell(db, agreement, "act_not_signed", party=act.party, about=act.document, entry=entry, now=now)
    return act
