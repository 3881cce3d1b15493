"""Reading metered events, scoped to who asks where a participant reads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, or_
from sqlmodel import Session, col, select

from marketplace.costing.models import MeterEvent
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.errors import NotFound
from marketplace.ledger.accounts import posting_rules
from marketplace.ledger.models import LedgerTransaction


class NoSuchEvent(NotFound):
    """No such metered event."""


class NoSuchCostSheet(NotFound):
    """No cost sheet that the caller may see."""


def event(db: Session, event_id: str) -> MeterEvent:
    """One metered event.  Raises NoSuchEvent."""
    found = db.get(MeterEvent, event_id)
    if found is None:
        raise NoSuchEvent("no metered event with this id", got=event_id)
    return found


def pending(
    db: Session,
    *,
    asset_id: str | None = None,
    after: str = "",
    before: datetime | None = None,
    limit: int | None = None,
) -> Sequence[MeterEvent]:
    """Events that are not in the books yet, by id; of one asset or of all.

    after: id of the last one already seen; before: only what happened earlier.
    """
    posted = select(LedgerTransaction.meter_event).where(LedgerTransaction.meter_event == MeterEvent.id)
    rows = select(MeterEvent).where(~posted.exists(), MeterEvent.id > after).order_by(col(MeterEvent.id))
    if asset_id is not None:
        rows = rows.where(MeterEvent.asset_id == asset_id)
    if before is not None:
        rows = rows.where(MeterEvent.at < before)
    return db.exec(rows.limit(limit)).all()


def require_sheet_access(db: Session, actor: Actor, asset_id: str) -> None:
    """Let through who bears the asset's stage costs or sells it, and auditors.

    Raises NoSuchCostSheet for anybody else, so that ids cannot be probed.
    """
    rows = select(MeterEvent.id).where(MeterEvent.asset_id == asset_id)
    if not actor.has(Role.AUDITOR):
        bears = and_(
            col(MeterEvent.kind).in_(posting_rules().stage_kinds()), col(MeterEvent.payer_id) == actor.participant
        )
        sells = and_(col(MeterEvent.kind) == "sale.access", col(MeterEvent.payee_id) == actor.participant)
        rows = rows.where(or_(bears, sells))
    if db.exec(rows.limit(1)).first() is None:
        raise NoSuchCostSheet(
            "no cost sheet of this asset",
            got=asset_id,
            action="costs appear with the first metered stage, to those who bear them",
        )
