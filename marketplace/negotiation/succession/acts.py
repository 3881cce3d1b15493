"""Making an act: a stop binds as soon as it is made, anything else waits for the signature of its side."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit import documents
from marketplace.audit.entry import Tag
from marketplace.kernel.actor import SERVICE_ACTOR, Actor
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp
from marketplace.kernel.transitions import NotYourStep
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.queries import side_of
from marketplace.negotiation.rules import Side
from marketplace.negotiation.steps import record_agreement
from marketplace.negotiation.succession import queries
from marketplace.negotiation.succession.document import KIND, act_document
from marketplace.negotiation.succession.models import AgreementAct
from marketplace.negotiation.succession.rules import ACT, CHASE_AFTER, ActKind, ActState
from marketplace.participants import queries as participants
from marketplace.plumbing import outbox

CHASE_TASK = "negotiation.chase_act"


def bind(db: Session, actor: Actor, agreement: Agreement, kind: ActKind, reason: str, now: datetime) -> AgreementAct:
    """Make the act of a stop that is in effect in this very transaction; its side owes the signature and is reminded.

    The caller holds the agreement and records the entry that names the act.  Records: negotiation:act_overtaken.
    """
    act = _act(db, actor, agreement, kind, reason, now)
    act.state = ACT.step(ActState.PREPARED, ActState.UNSIGNED, [Side(act.side)]).target
    take_place(db, agreement, act, now)
    for wait in CHASE_AFTER:
        args = {"agreement": agreement.id, "act": act.document}
        key = f"{act.document}:{timestamp(now + wait)}"
        outbox.enqueue(db, CHASE_TASK, args, key=key, now=now, due=now + wait)
    return act


def prepare(db: Session, actor: Actor, agreement: Agreement, kind: ActKind, reason: str, now: datetime) -> AgreementAct:
    """Make an act that takes effect with its signature only; asking again for the same one changes nothing.

    Records: negotiation:act_prepared.
    """
    previous = queries.head(db, agreement)[1]
    waiting = (str(kind), actor.participant, previous, reason)
    for one in queries.prepared(db, agreement.id):
        if (one.kind, one.party, one.previous, one.reason) == waiting:
            return one
    act = _act(db, actor, agreement, kind, reason, now)
    act.entry_id = record_act(db, actor, Tag.ACT_PREPARED, agreement, act, now)
    db.add(act)
    return act


def take_place(db: Session, agreement: Agreement, act: AgreementAct, now: datetime) -> None:
    """Put an act, prepared no more, at the end of the chain; whatever else waits for that place is overtaken.

    Records: negotiation:act_overtaken for each of those.
    """
    act.number = queries.head(db, agreement)[0] + 1
    db.add(act)
    db.flush()
    overtake(db, agreement, now)


def overtake(db: Session, agreement: Agreement, now: datetime) -> None:
    """Void whatever waits for its signature: what it would have followed is not the latest any more.

    Records: negotiation:act_overtaken for each.
    """
    for one in queries.prepared(db, agreement.id):
        step = ACT.step(ActState.PREPARED, ActState.OVERTAKEN, [Side.SERVICE])
        one.state = step.target
        db.add(one)
        record_act(db, SERVICE_ACTOR, Tag(step.tag), agreement, one, now)


def record_act(db: Session, actor: Actor, tag: Tag, agreement: Agreement, act: AgreementAct, now: datetime) -> str:
    """Write the entry of an act's change; returns its id."""
    facts: Json = {
        "document": agreement.document,
        "act": act.document,
        "kind": act.kind,
        "by": act.side,
        "number": act.number,
        "state": act.state,
    }
    return record_agreement(db, actor, tag, agreement, facts, now)


def _act(db: Session, actor: Actor, agreement: Agreement, kind: ActKind, reason: str, now: datetime) -> AgreementAct:
    side = side_of(agreement, actor)
    if side is None:
        raise NotYourStep("only the two sides of an agreement act on it", got=actor.participant)
    number, previous = queries.head(db, agreement)
    content = act_document(
        agreement,
        kind,
        side,
        participants.participant(db, actor.participant),
        reason=reason,
        previous=previous,
        number=number + 1,
        now=now,
    )
    return AgreementAct(
        document=documents.keep(db, KIND, content, now, readers=(agreement.provider_id, agreement.buyer_id)),
        agreement_id=agreement.id,
        previous=previous,
        kind=kind,
        side=side,
        party=actor.participant,
        reason=reason,
        state=ActState.PREPARED,
        made_at=now,
    )
