"""The verb of demands: a buyer says what it looks for."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.exchange.models import Demand
from marketplace.exchange.schemas import DemandIn
from marketplace.exchange.terms import PURPOSES
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.errors import Forbidden, Invalid, shown
from marketplace.kernel.ids import new_id


class NotABuyer(Forbidden):
    """Only a buyer publishes a demand."""


class UnknownPurpose(Invalid):
    """No such purpose may be asked for."""


def publish_demand(db: Session, actor: Actor, asked: DemandIn, now: datetime) -> Demand:
    """Say what a buyer looks for.  Raises NotABuyer, UnknownPurpose.  Records: exchange:demand_published."""
    if not actor.has(Role.BUYER):
        raise NotABuyer("publishing a demand needs the role buyer", got=", ".join(sorted(actor.roles)))
    if asked.purpose not in PURPOSES["known"]:
        raise UnknownPurpose("no such purpose", expected=" or ".join(PURPOSES["known"]), got=shown(asked.purpose))

    demand = Demand(id=new_id("dem"), buyer_id=actor.participant, published_at=now, **asked.model_dump())
    db.add(demand)
    db.flush()

    record(db, actor, Tag.DEMAND_PUBLISHED, now, facts={"demand": demand.id, "purpose": demand.purpose})
    return demand
