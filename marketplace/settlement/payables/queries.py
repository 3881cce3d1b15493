"""Reading what is owed for stages, scoped to who asks."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Integer, Select, and_, cast, literal, null, or_, true, union_all
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, func, select

from marketplace.costing.models import MeterEvent
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.errors import NotFound
from marketplace.ledger.accounts import posting_rules
from marketplace.ledger.models import LedgerTransaction
from marketplace.plumbing import paging
from marketplace.plumbing.paging import Order, Paged
from marketplace.settlement.models import Payable

_COLUMNS = tuple(Payable.model_fields)


class NoSuchPayable(NotFound):
    """Nothing is owed by the caller under this id."""


def payable(db: Session, actor: Actor, event_id: str, part: int = 0) -> Payable | None:
    """What the caller has ordered or paid before for a stage, read anew; None where it has not."""
    found = db.get(Payable, (event_id, part), populate_existing=True)
    return found if found is not None and found.payer_id == actor.participant else None


def owed_by(db: Session, payer: str) -> list[Payable]:
    """What a payer owes for stages and has neither ordered nor paid, by time; rows that are not in the database yet."""
    rows = _owed(col(MeterEvent.payer_id) == payer).order_by(col(MeterEvent.at), col(MeterEvent.id))
    return [Payable(**one._mapping) for one in db.execute(rows)]


def payables_of(db: Session, actor: Actor, *, cursor: str | None = None, limit: int = paging.MOST) -> Paged[Payable]:
    """A page of what the caller owes or is owed for stages, whatever became of it, by time; of all for auditors.

    Raises NotOnThisList.
    """
    found = every(actor).subquery().c
    key = (found.meter_event, found.part)
    read: Paged[Any] = Order((found.at, *key), key).page(db, select(*found), cursor, limit)
    return Paged([Payable(**one._mapping) for one in read.rows], read.next)


def every(actor: Actor) -> Any:
    """What `payables_of` reads, as a statement with the columns of Payable."""
    begun, owed = select(*(getattr(Payable, name) for name in _COLUMNS)).where(_begun(Payable)), _owed()
    if not actor.has(Role.AUDITOR):
        mine = actor.participant
        begun = begun.where(or_(col(Payable.payer_id) == mine, col(Payable.payee_id) == mine))
        # The kinds are said again beside the payee: only so SQLite finds them over its index and not all its sales.
        earned = and_(col(MeterEvent.payee_id) == mine, col(MeterEvent.kind).in_(posting_rules().stage_kinds()))
        owed = owed.where(or_(col(MeterEvent.payer_id) == mine, earned))
    return union_all(begun, owed)


def _begun(of: Any) -> ColumnElement[bool]:
    return or_(col(of.order_id).is_not(None), col(of.paid_at).is_not(None))


def _owed(*where: ColumnElement[bool]) -> Select[Any]:
    """Posted stage costs with a payee of their own that nothing took back, less what is ordered or paid of them.

    Where a tariff was corrected, the difference is a part of its own; amounts are those of the books now.
    """
    posted, event, reversal = LedgerTransaction, MeterEvent, aliased(LedgerTransaction)
    taken_back = select(reversal.id).where(reversal.reverses == posted.id)
    columns = _columns()
    found: Select[Any] = (
        select(*(columns[name].label(name) for name in _COLUMNS))
        .join(event, col(event.id) == col(posted.meter_event))
        .where(
            col(posted.kind).in_(posting_rules().stage_kinds()),
            # As in `settlement.queries.unbilled`.
            col(posted.reverses).is_(None).is_(true()),
            ~taken_back.exists(),
            col(event.payee_id).is_not(None),
            col(event.payee_id) != col(event.payer_id),
            columns["amount_fen"] != 0,
            *where,
        )
    )
    return found


def _columns() -> dict[str, Any]:
    """What is left of a posted cost, as a Payable; its part is one that waits already, else the next."""
    posted, event, part = LedgerTransaction, MeterEvent, aliased(Payable)
    of_event, waits = part.meter_event == event.id, ~_begun(part)
    begun = select(func.coalesce(func.sum(part.amount_fen), 0)).where(of_event, _begun(part)).scalar_subquery()
    waiting = select(func.min(part.part)).where(of_event, waits).scalar_subquery()
    following = select(func.count()).select_from(part).where(of_event).scalar_subquery()
    paid_before = select(part.payments).where(of_event, waits).order_by(col(part.part)).limit(1).scalar_subquery()
    return {
        **{name: getattr(event, name) for name in ("kind", "asset_id", "payer_id", "payee_id", "at")},
        **dict.fromkeys(("order_id", "reference", "paid_at"), null()),
        "meter_event": event.id,
        "part": cast(func.coalesce(waiting, following), Integer),
        "transaction_id": posted.id,
        # PostgreSQL sums BIGINT as NUMERIC, hence the cast.
        "amount_fen": posted.quantity * col(posted.unit_price_minor) - cast(begun, BigInteger),
        "payments": func.coalesce(paid_before, literal(0)),
    }
