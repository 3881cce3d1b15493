"""Reading what is owed for stages, scoped to who asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, or_
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, func, select

from marketplace.costing.models import MeterEvent
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.errors import NotFound
from marketplace.ledger.accounts import posting_rules
from marketplace.ledger.models import LedgerTransaction
from marketplace.settlement.models import Payable


class NoSuchPayable(NotFound):
    """Nothing is owed by the caller under this id."""


def payable(db: Session, actor: Actor, event_id: str) -> Payable | None:
    """What the caller has ordered or paid before for a stage, read anew; None where it has not."""
    found = db.get(Payable, event_id, populate_existing=True)
    return found if found is not None and found.payer_id == actor.participant else None


def owed_by(db: Session, payer: str) -> list[Payable]:
    """What a payer owes for stages and has neither ordered nor paid, by time; rows that are not in the database yet."""
    return _owed(db, col(MeterEvent.payer_id) == payer)


def payables_of(db: Session, actor: Actor) -> list[Payable]:
    """What the caller owes or is owed for stages, whatever became of it, by time; all of it for auditors."""
    begun = select(Payable).where(or_(col(Payable.order_id).is_not(None), col(Payable.paid_at).is_not(None)))
    mine: Sequence[ColumnElement[bool]] = ()
    if not actor.has(Role.AUDITOR):
        mine = (or_(col(MeterEvent.payer_id) == actor.participant, col(MeterEvent.payee_id) == actor.participant),)
        begun = begun.where(or_(*(col(one) == actor.participant for one in (Payable.payer_id, Payable.payee_id))))
    found = [*db.exec(begun).all(), *_owed(db, *mine)]
    return sorted(found, key=lambda one: (one.at, one.meter_event))


def _owed(db: Session, *where: ColumnElement[bool]) -> list[Payable]:
    """Posted stage costs with a payee of their own that nothing took back, as the books have them now."""
    posted, event, reversal = LedgerTransaction, MeterEvent, aliased(LedgerTransaction)
    price = posted.quantity * col(posted.unit_price_minor)
    taken_back = select(reversal.id).where(reversal.reverses == posted.id)
    waits = and_(col(Payable.order_id).is_(None), col(Payable.paid_at).is_(None))
    rows = (
        select(  # type: ignore[call-overload]
            *(event.id, posted.id, event.kind, event.asset_id, event.payer_id, event.payee_id, price, event.at),
            func.coalesce(Payable.payments, 0),
        )
        .join(event, col(event.id) == col(posted.meter_event))
        .outerjoin(Payable, col(Payable.meter_event) == col(event.id))
        .where(
            col(posted.kind).in_(posting_rules().stage_kinds()),
            # As in `settlement.queries.unbilled`: without length() SQLite reads all transactions for every caller.
            func.length(col(posted.reverses)).is_(None),
            ~taken_back.exists(),
            col(event.payee_id).is_not(None),
            col(event.payee_id) != col(event.payer_id),
            price > 0,
            or_(col(Payable.meter_event).is_(None), waits),
            *where,
        )
        .order_by(col(event.at), col(event.id))
    )
    return [_row(*one) for one in db.execute(rows)]


def _row(*columns: Any) -> Payable:
    names = [
        "meter_event",
        "transaction_id",
        "kind",
        "asset_id",
        "payer_id",
        "payee_id",
        "amount_fen",
        "at",
        "payments",
    ]
    return Payable(**dict(zip(names, columns, strict=True)))
