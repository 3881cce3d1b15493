"""Reading metered events, scoped to who asks where a participant reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import and_, bindparam, delete, func, or_
from sqlmodel import Session, col, select

from marketplace.costing.models import MeterEvent, MeterWaiting
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.errors import NotFound
from marketplace.ledger.accounts import posting_rules
from marketplace.plumbing.questions import Question, alone
from marketplace.plumbing.writes import Write

IDS = 500
TWELVE_MONTHS = timedelta(days=365)
_WAITS = Question(
    select(MeterWaiting.event_id).where(MeterWaiting.event_id == bindparam("event")).with_for_update(), alone
)
_FORGET = Write(delete(MeterWaiting).where(col(MeterWaiting.event_id) == bindparam("event")))


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


def event_by_key(db: Session, key: str) -> MeterEvent | None:
    """The event that a cause has metered, None for a cause that has metered none."""
    return db.exec(select(MeterEvent).where(MeterEvent.event_key == key)).first()


def events_after(db: Session, after: str, limit: int) -> Sequence[MeterEvent]:
    """A page of all events, by id, those behind one."""
    rows = select(MeterEvent).where(MeterEvent.id > after).order_by(col(MeterEvent.id))
    return db.exec(rows.limit(limit)).all()


def hold(db: Session, events: Collection[str]) -> None:
    """Keep whoever else takes the posting of one of these events back, or corrects it, waiting to the end."""
    names = sorted(events)
    for start in range(0, len(names), IDS):
        rows = select(MeterEvent.id).where(col(MeterEvent.id).in_(names[start : start + IDS]))
        db.exec(rows.order_by(col(MeterEvent.id)).with_for_update(key_share=True)).all()


def pending(db: Session, *, asset_id: str | None = None) -> Sequence[MeterEvent]:
    """Events that are not in the books yet, of one asset or of all, by id."""
    rows = select(MeterEvent).join(MeterWaiting, col(MeterWaiting.event_id) == col(MeterEvent.id))
    if asset_id is not None:
        rows = rows.where(MeterWaiting.asset_id == asset_id)
    return db.exec(rows.order_by(col(MeterEvent.id))).all()


def waiting_kinds(db: Session, assets: Collection[str]) -> dict[str, list[str]]:
    """Asset -> kinds of its events that are not in the books yet, one for each; an asset without any is left out."""
    rows = select(MeterWaiting.asset_id, MeterEvent.kind).join(
        MeterEvent, col(MeterEvent.id) == col(MeterWaiting.event_id)
    )
    found = defaultdict[str, list[str]](list)
    for asset, kind in db.exec(rows.where(col(MeterWaiting.asset_id).in_(assets)).order_by(col(MeterEvent.id))):
        found[str(asset)].append(kind)
    return found


def take_waiting(db: Session, *, after: str, before: datetime | None, limit: int) -> Sequence[MeterEvent]:
    """A page of the events that are not in the books yet, by id, held by this transaction.

    after: id of the last one already seen; before: only what happened earlier; what another transaction holds is
    passed over.
    """
    held = select(MeterWaiting.event_id).where(MeterWaiting.event_id > after).order_by(col(MeterWaiting.event_id))
    if before is not None:
        held = held.join(MeterEvent, col(MeterEvent.id) == col(MeterWaiting.event_id)).where(MeterEvent.at < before)
    held = held.limit(limit).with_for_update(of=MeterWaiting, skip_locked=True)
    found = db.exec(held).all()
    if not found:
        return ()
    return db.exec(select(MeterEvent).where(col(MeterEvent.id).in_(found)).order_by(col(MeterEvent.id))).all()


def waits(db: Session, event_id: str) -> bool:
    """Whether an event is not in the books yet; another worker that has it in hand is waited for."""
    return _WAITS.first(db, event=event_id) is not None


def forget_waiting(db: Session, event_id: str) -> None:
    """Note that an event is in the books now."""
    _FORGET.run(db, event=event_id)


def forget_all_waiting(db: Session, events: Sequence[str]) -> None:
    """Note that these events are in the books now, with one statement."""
    for start in range(0, len(events), IDS):
        gone = delete(MeterWaiting).where(col(MeterWaiting.event_id).in_(events[start : start + IDS]))
        db.exec(gone.execution_options(synchronize_session=False))


def engagements(db: Session, kind: str, payer: str, payee: str, now: datetime) -> int:
    """How often a payer engaged a payee for a kind of work in the twelve months before, for frequency discounts."""
    rows = select(func.count()).select_from(MeterEvent)
    rows = rows.where(MeterEvent.kind == kind, MeterEvent.payer_id == payer, MeterEvent.payee_id == payee)
    return db.exec(rows.where(MeterEvent.at > now - TWELVE_MONTHS)).one()


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
