"""Objections during the public notice: raise, settle (guideline art. 25)."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Conflict
from marketplace.kernel.ids import new_id
from marketplace.registration import queries, service
from marketplace.registration.models import Application, Objection
from marketplace.registration.profile import national
from marketplace.registration.rules import APPLICATIONS, State
from marketplace.registration.schemas import ObjectionIn, RefusalIn, SettlementIn
from marketplace.registration.workdays import end_of_working_day, published


class OwnObjection(Conflict):
    """The parties of an application do not object to it."""


def object_to(db: Session, actor: Actor, found: Application, asked: ObjectionIn, now: datetime) -> Objection:
    """Anyone but the parties objects while the notice runs; nothing is issued until the ruling (art. 25).

    Raises OwnObjection, WrongState.  Records: registration:objection_raised.
    """
    queries.lock(db, found)

    if actor.participant in {found.applicant_id, found.registrar_id}:
        raise OwnObjection("applicant and registrar do not object", got=actor.participant)
    step = APPLICATIONS.step(State(found.state), State.OBJECTED, actor.roles)

    found.state = State.OBJECTED
    objection = Objection(
        id=new_id("obj"),
        application_id=found.id,
        objector_id=actor.participant,
        grounds=asked.grounds,
        evidence=list(asked.evidence),
        raised_at=now,
        inquiry_until=end_of_working_day(now, national().inquiry_days, published()),
    )
    db.add(found)
    db.add(objection)
    db.flush()

    facts: Json = {"application": found.id, "objection": objection.id, "evidence": objection.evidence}
    record(db, actor, Tag(step.tag), now, asset=found.asset_id, version=found.version_id, facts=facts)
    return objection


def settle_objection(
    db: Session, actor: Actor, found: Application, objection: Objection, asked: SettlementIn, now: datetime
) -> Objection:
    """The registrar rules: upheld refuses the application, dismissed lets the notice stand.

    Raises NoSuchObjection, WrongState.
    Records: registration:objection_settled, and registration:application_refused when upheld.
    """
    queries.lock(db, found)
    db.refresh(objection)
    objection = queries.open_objection(db, found.id, objection.id)
    others = [one for one in queries.objections(db, found.id) if one.state == "open" and one.id != objection.id]
    # Judged before anything changes; the application leaves `objected` only with the last open objection.
    APPLICATIONS.step(State(found.state), State.REFUSED if asked.upheld else State.NOTICED, actor.roles)

    objection.state = "upheld" if asked.upheld else "dismissed"
    objection.ruling, objection.settled_at = asked.ruling, now
    db.add(objection)
    if not asked.upheld and not others:
        found.state = State.NOTICED
    db.add(found)
    db.flush()

    facts = {"application": found.id, "objection": objection.id, "ruling": objection.state}
    record(db, actor, Tag.OBJECTION_SETTLED, now, asset=found.asset_id, version=found.version_id, facts=facts)
    if asked.upheld:
        service.refuse(db, actor, found, RefusalIn(ground="unresolved_dispute", reason=asked.ruling), now)
    return objection
