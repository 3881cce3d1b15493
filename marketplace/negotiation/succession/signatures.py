"""The verb of a side that has an act to sign: its exact bytes, with its own key."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.assets.schemas import SignatureIn
from marketplace.audit.entry import Tag
from marketplace.kernel.actor import Actor
from marketplace.kernel.errors import Conflict, Forbidden
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation import stopping
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.rules import Side
from marketplace.negotiation.succession import assigning, queries
from marketplace.negotiation.succession.acts import record_act, take_place
from marketplace.negotiation.succession.document import TYP
from marketplace.negotiation.succession.models import AgreementAct
from marketplace.negotiation.succession.notices import tell
from marketplace.negotiation.succession.rules import ACT, ActKind, ActState
from marketplace.participants.signatures import accept


class NotYourAct(Forbidden):
    """The other side made this act."""


class ActOvertaken(Conflict):
    """Something else has happened to the agreement since the act was prepared."""


def sign_act(db: Session, actor: Actor, agreement: Agreement, signature: SignatureIn, now: datetime) -> AgreementAct:
    """Accept a side's signature over its own act; one that was prepared takes effect with it, in the same transaction.

    Signing again changes nothing.
    Raises NotAnAct, NotYourAct, ActOvertaken, BadSignature, UnknownKey, and what the act's own verb raises.
    Records: participant:signature_accepted, negotiation:act_signed, and negotiation:agreement_resumed or
    negotiation:assignment_refused.
    """
    negotiation.lock_agreement(db, agreement)
    act = queries.act(db, agreement.id, signature.document)

    _require_signable(db, actor, agreement, act)
    accept(db, actor.participant, act.document, signature.jws, typ=TYP, now=now)
    if act.state == ActState.SIGNED:
        return act
    step = ACT.step(ActState(act.state), ActState.SIGNED, [Side(act.side)])
    waited = act.state == ActState.PREPARED

    act.state, act.signed_at = step.target, now
    if waited:
        take_place(db, agreement, act, now)
    db.add(act)

    entry = record_act(db, actor, Tag(step.tag), agreement, act, now)
    if waited:
        _take_effect(db, actor, agreement, act, now)
        tell(db, agreement, f"{act.kind}_in_effect", party=act.party, about=act.document, entry=entry, now=now)
    return act


def _require_signable(db: Session, actor: Actor, agreement: Agreement, act: AgreementAct) -> None:
    if act.party != actor.participant:
        raise NotYourAct("each side signs its own acts", expected=act.party, got=actor.participant)
    latest = queries.head(db, agreement)[1]
    if act.state == ActState.OVERTAKEN or (act.state == ActState.PREPARED and act.previous != latest):
        raise ActOvertaken(
            "another act took this one's place",
            expected=f"an act that follows {latest}",
            got=act.previous,
            action="look at the agreement's acts, and prepare yours again if you still want it",
        )


def _take_effect(db: Session, actor: Actor, agreement: Agreement, act: AgreementAct, now: datetime) -> None:
    match ActKind(act.kind):
        case ActKind.RESUMPTION:
            stopping.resume_by(db, actor, agreement, act, now)
        case ActKind.ASSIGNMENT_REFUSAL:
            assigning.refuse_by(db, actor, agreement, act, now)
        case ActKind.SUSPENSION | ActKind.TERMINATION:
            raise AssertionError("a stop is in effect when it is made")
