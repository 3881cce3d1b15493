"""A buyer asks whether it may assign its agreement; the terms or the provider refuse, consent is a new negotiation.

PRC Civil Code art. 545: no assignment that the agreement prohibits; art. 555: a whole contract passes to a third
party only with the other side's consent.
"""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit import documents
from marketplace.audit.entry import Tag
from marketplace.audit.words import keep_why
from marketplace.kernel.actor import SERVICE_ACTOR, Actor, Role
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Conflict, Forbidden, Invalid
from marketplace.kernel.ids import new_id
from marketplace.kernel.transitions import WrongState
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.rules import AgreementState
from marketplace.negotiation.schemas import WhyIn
from marketplace.negotiation.steps import record_agreement
from marketplace.negotiation.succession import acts, queries
from marketplace.negotiation.succession.models import AgreementAct, AgreementAssignment
from marketplace.negotiation.succession.notices import tell
from marketplace.negotiation.succession.rules import ActKind, AssignmentState, assignment_prohibited
from marketplace.negotiation.succession.schemas import AssignmentIn
from marketplace.participants.models import Participant

BY_TERMS, BY_PROVIDER = "terms", "provider"
PROHIBITED = "assignment_prohibited"


class NotTheBuyersAssignment(Forbidden):
    """Only the buyer asks to assign its agreement."""


class NotTheProvider(Forbidden):
    """Only the provider answers to an assignment."""


class NotAnAssignee(Invalid):
    """The agreement cannot be assigned to this participant."""


class NothingAsked(Conflict):
    """No assignment waits for an answer."""


def ask(db: Session, actor: Actor, agreement: Agreement, asked: AssignmentIn, now: datetime) -> AgreementAssignment:
    """Ask the provider to let another buyer take the agreement over; the same question again is the same question.

    Where the signed text prohibits handing on, it is refused by that clause at once.
    Raises NotTheBuyersAssignment, NotAnAssignee, WrongState.
    Records: negotiation:assignment_asked, and negotiation:assignment_refused when the terms refuse.
    """
    negotiation.lock_agreement(db, agreement)
    assignee = db.get(Participant, asked.assignee)
    known = [one for one in queries.assignments(db, agreement.id) if one.assignee_id == asked.assignee]

    if actor.participant != agreement.buyer_id:
        raise NotTheBuyersAssignment("the buyer asks, the provider answers", expected=agreement.buyer_id)
    sides = (agreement.buyer_id, agreement.provider_id)
    if assignee is None or assignee.id in sides or Role.BUYER not in assignee.roles:
        raise NotAnAssignee("an agreement is taken over by another buyer", expected="id of a buyer of this market")
    if known:
        return known[0]
    _require_in_force(agreement, now)

    one = AgreementAssignment(
        id=new_id("asg"), agreement_id=agreement.id, assignee_id=assignee.id, state=AssignmentState.ASKED, asked_at=now
    )
    db.add(one)
    db.flush()

    entry = _record(db, actor, Tag.ASSIGNMENT_ASKED, agreement, one, now)
    if assignment_prohibited(documents.content(db, agreement.document)):
        _refuse(db, SERVICE_ACTOR, agreement, one, BY_TERMS, PROHIBITED, now)
    tell(db, agreement, "assignment_asked", party=actor.participant, about=agreement.document, entry=entry, now=now)
    return one


def refuse(db: Session, actor: Actor, agreement: Agreement, why: WhyIn, now: datetime) -> AgreementAct:
    """Prepare the provider's act that refuses every assignment that was asked for; it takes effect when it is signed.

    Raises NothingAsked, NotTheProvider.  Records: negotiation:act_prepared.
    """
    negotiation.lock_agreement(db, agreement)
    _require_provider(actor, agreement)
    _waiting(db, agreement)
    return acts.prepare(db, actor, agreement, ActKind.ASSIGNMENT_REFUSAL, why.reason, now)


def refuse_by(db: Session, actor: Actor, agreement: Agreement, act: AgreementAct, now: datetime) -> None:
    """Refuse what was asked for by a signed act.  The caller holds the agreement.  Raises NothingAsked.

    Records: negotiation:assignment_refused for each.
    """
    for one in _waiting(db, agreement):
        one.act = act.document
        _refuse(db, actor, agreement, one, BY_PROVIDER, act.reason, now)


def _require_provider(actor: Actor, agreement: Agreement) -> None:
    if actor.participant != agreement.provider_id:
        raise NotTheProvider("the provider answers", expected=agreement.provider_id, got=actor.participant)


def _require_in_force(agreement: Agreement, now: datetime) -> None:
    if agreement.state not in {AgreementState.FINALIZED, AgreementState.SUSPENDED} or agreement.ends_at <= now:
        raise WrongState("only an agreement in force is assigned", expected="finalized", got=agreement.state)


def _waiting(db: Session, agreement: Agreement) -> list[AgreementAssignment]:
    found = [one for one in queries.assignments(db, agreement.id) if one.state == AssignmentState.ASKED]
    if not found:
        raise NothingAsked("no assignment of this agreement waits for an answer", got=agreement.id)
    return found


def _refuse(
    db: Session, actor: Actor, agreement: Agreement, one: AgreementAssignment, by: str, reason: str, now: datetime
) -> None:
    one.state, one.by, one.reason, one.answered_at = AssignmentState.REFUSED, by, reason, now
    db.add(one)
    _record(db, actor, Tag.ASSIGNMENT_REFUSED, agreement, one, now)


def _record(db: Session, actor: Actor, tag: Tag, agreement: Agreement, one: AgreementAssignment, now: datetime) -> str:
    said = keep_why(db, one.reason, "", now, (agreement.provider_id, agreement.buyer_id))
    facts: Json = {
        "document": agreement.document,
        "assignment": one.id,
        "assignee": one.assignee_id,
        "state": one.state,
        "by": one.by,
        **said,
    }
    facts |= {"act": one.act} if one.act else {}
    return record_agreement(db, actor, tag, agreement, facts, now)
