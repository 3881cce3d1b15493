"""What the clock does with what waits for a side: it is reminded, and the other side told."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit import documents
from marketplace.audit.entry import Tag
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.kernel.canonical import Json
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.rules import REMIND_BEFORE
from marketplace.negotiation.steps import record_agreement
from marketplace.negotiation.succession import queries
from marketplace.negotiation.succession.acts import record_act
from marketplace.negotiation.succession.models import AgreementAct, AgreementSuccessor
from marketplace.negotiation.succession.notices import tell
from marketplace.negotiation.succession.rules import CHASE_AFTER, WAITING, ActState, SuccessorState


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


def remind(db: Session, agreement_id: str, now: datetime) -> AgreementSuccessor | None:
    """Remind of a successor's deadline who has to sign it, or to correct it once it was returned; once for each.

    None where nobody is to be reminded.  Records: negotiation:successor_reminded for each side.
    """
    agreement = negotiation.agreement(db, agreement_id)
    negotiation.lock_agreement(db, agreement)
    follows = queries.succession(db, agreement_id)

    if follows is None or follows.state not in WAITING or follows.reminded_of == follows.expires_at:
        return None
    if not follows.expires_at - REMIND_BEFORE <= now < follows.expires_at:
        return None

    follows.reminded_of = follows.expires_at
    db.add(follows)

    predecessor = negotiation.agreement(db, follows.predecessor_id)
    for party in _awaited(db, agreement, follows):
        facts: Json = {"document": agreement.document, "predecessor": predecessor.id, "party": party}
        entry = record_agreement(db, SERVICE_ACTOR, Tag.SUCCESSOR_REMINDED, agreement, facts, now)
        tell(db, predecessor, "successor_answer_due", party=party, about=agreement.document, entry=entry, now=now)
    return follows


def _awaited(db: Session, agreement: Agreement, follows: AgreementSuccessor) -> list[str]:
    if follows.state == SuccessorState.RETURNED:
        return [follows.proposed_by]
    signed = {one.signer for one in documents.signatures(db, agreement.document)}
    return [party for party in (agreement.provider_id, agreement.buyer_id) if party not in signed]
