"""What is owed for stages as lists and sums for those who read it on a page, scoped to who asks."""

from __future__ import annotations

import base64
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import case, literal, tuple_
from sqlmodel import Session, col, func, select

from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import canonical, read_strictly
from marketplace.kernel.clock import parse_timestamp, timestamp
from marketplace.kernel.errors import Invalid, shown
from marketplace.plumbing.db import UtcDateTime
from marketplace.settlement.models import BankAccount, Payable
from marketplace.settlement.overview import BadPlace
from marketplace.settlement.payables.queries import every

_RANKS = {"owed": 0, "ordered": 1, "paid": 2}


@dataclass(frozen=True)
class Standing:
    """How the caller stands with one other party, fen.

    owes: whether the caller is who owes; back_fen: what it gets back, or owes back where it is owed.
    """

    other: str
    owes: bool
    owed_fen: int
    back_fen: int
    ordered_fen: int
    paid_fen: int


def standings(db: Session, actor: Actor, *, limit: int) -> list[Standing]:
    """Everybody whom the caller owes for stages or who owes it, who is owed most first."""
    found = every(actor).subquery()
    (other, owes), sums = _sides(found, actor), _sums(found)
    rows = select(other, owes, *sums).group_by(other, owes).order_by(sums[0].desc(), other, owes).limit(limit)
    return [Standing(name, bool(mine), *(int(fen) for fen in fens)) for name, mine, *fens in db.execute(rows)]


def balanced(db: Session, actor: Actor, others: Collection[str]) -> set[tuple[str, bool]]:
    """Those of these others with whom no order is due, each as (other, whether the caller owes).

    As much is owed back as is owed, or more: `order_payables` leaves out what it is about.
    """
    found = every(actor).subquery()
    (other, owes), (owed, back, *_) = _sides(found, actor), _sums(found)
    rows = select(other, owes).where(other.in_(others)).group_by(other, owes).having(owed <= back)
    return {(name, bool(mine)) for name, mine in db.execute(rows)}


def totals(db: Session, actor: Actor) -> dict[bool, Standing]:
    """The same of all others together: True -> what the caller owes, False -> what it is owed; without a name."""
    found = every(actor).subquery()
    owes = found.c.payer_id == actor.participant
    rows = db.execute(select(owes, *_sums(found)).group_by(owes))
    read = {bool(mine): Standing("", bool(mine), *(int(fen) for fen in fens)) for mine, *fens in rows}
    return {mine: read.get(mine, Standing("", mine, 0, 0, 0, 0)) for mine in (True, False)}


def listed(db: Session, actor: Actor, *, limit: int, after: str | None = None) -> list[Payable]:
    """What the caller owes or is owed, what is owed before what is ordered before what is paid, each by time.

    after: the cursor of the last one seen.  Raises BadPlace.
    """
    found = every(actor).subquery()
    place = (_state(found), found.c.at, found.c.meter_event, found.c.part)
    rows = select(found)
    if after is not None:
        rank, at, event, part = _place(after)
        rows = rows.where(tuple_(*place) > tuple_(literal(rank), literal(at, UtcDateTime()), event, literal(part)))
    return [Payable(**one._mapping) for one in db.execute(rows.order_by(*place).limit(limit))]


def cursor(one: Payable) -> str:
    """Where what stands behind this one begins."""
    place = [_RANKS[one.state], timestamp(one.at), one.meter_event, one.part]
    return base64.urlsafe_b64encode(canonical(place)).decode().rstrip("=")


def paid_somewhere(db: Session, owners: Collection[str]) -> set[str]:
    """Those of these participants that have said where they are paid."""
    return set(db.exec(select(BankAccount.owner).where(col(BankAccount.owner).in_(owners))))


def _sides(found: Any, actor: Actor) -> tuple[Any, Any]:
    """The other party of a cost, and whether the caller is who owes."""
    owes = found.c.payer_id == actor.participant
    return case((owes, found.c.payee_id), else_=found.c.payer_id), owes


def _state(found: Any) -> Any:
    paid = (found.c.paid_at.is_not(None), _RANKS["paid"])
    return case(paid, (found.c.order_id.is_not(None), _RANKS["ordered"]), else_=_RANKS["owed"])


def _sums(found: Any) -> list[Any]:
    """Of what waits: what is owed, what is owed back; then what is ordered, and what is paid."""
    state, amount = _state(found), found.c.amount_fen
    waits = state == _RANKS["owed"]
    sums = (
        func.sum(amount).filter(waits, amount > 0),
        func.sum(-amount).filter(waits, amount < 0),
        func.sum(amount).filter(state == _RANKS["ordered"]),
        func.sum(amount).filter(state == _RANKS["paid"]),
    )
    return [func.coalesce(one, 0) for one in sums]


def _place(text: str) -> tuple[int, datetime, str, int]:
    try:
        rank, at, event, part = read_strictly(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return int(rank), parse_timestamp(at), str(event), int(part)
    except (ValueError, TypeError, AttributeError, Invalid) as error:
        raise BadPlace("the cursor is not readable", got=shown(text), action="start without a cursor") from error
