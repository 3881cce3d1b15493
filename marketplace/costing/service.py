"""Metering an event in the transaction that causes it, and posting it to the books later, exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from sqlalchemy import Executable, Table, bindparam, insert, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, select
from structlog import get_logger

from marketplace.audit.entry import Tag, record
from marketplace.costing import queries, rating
from marketplace.costing.models import MeterEvent, MeterWaiting
from marketplace.costing.tariffs import Attributes, TariffBook, tariff_book
from marketplace.kernel.actor import SERVICE_ACTOR, Actor
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import require_utc
from marketplace.kernel.errors import DomainError, Invalid
from marketplace.kernel.ids import new_id
from marketplace.ledger import queries as ledger_queries
from marketplace.ledger import service as ledger
from marketplace.ledger.accounts import posting_rules
from marketplace.ledger.models import LedgerTransaction
from marketplace.plumbing import outbox
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.writes import Write

POST_TASK = "ledger.post"
PAGE = 500

# The outbox posts within seconds; what waits longer has lost its outbox row or used up its attempts.
LEFT_BEHIND = timedelta(minutes=5)


# Statements on tables, put together once: on rows, and anew each time, they cost more than what they do.
_EVENTS: Table = MeterEvent.__table__  # type: ignore[attr-defined]
_ENTERED = update(_EVENTS).where(_EVENTS.c.id == bindparam("event")).values(entry_id=bindparam("entry"))
_WAITS = Write(insert(MeterWaiting), ["event_id", "asset_id"])


class BadMeasure(Invalid):
    """A metered quantity or price is below zero."""


@dataclass(frozen=True)
class Sweep:
    """What a sweep did.  posted: events newly in the books; stuck: event id -> why it cannot be posted.

    last: id of the last event looked at, None when none was left.
    """

    posted: int
    stuck: dict[str, str]
    last: str | None


def meter(
    db: Session,
    actor: Actor,
    kind: str,
    quantity: int,
    now: datetime,
    *,
    key: str,
    asset: str,
    payer: str,
    payee: str | None = None,
    venue: str | None = None,
    version: str | None = None,
    stage: str | None = None,
    agreement: str | None = None,
    unit_price_fen: int | None = None,
    attributes: Attributes | None = None,
) -> str:
    """Note a cost or revenue event; a worker posts it to the ledger.  Returns the event's id.

    quantity: whole units of the kind (scans, opinions, …), at least 0; key: names the cause, the same key meters once.
    payee: who earns it, needed for a sale; venue: the exchange operator that earns the supplier fee of a sale.
    unit_price_fen: agreed price, VAT included; None = by tariff at `now`.
    attributes: codes and numbers that choose among tariffs; they enter the log, so no words of callers.
    Raises BadMeasure; NoPostingRule for a kind that the books do not know.  Records: costing:metered.
    """
    posting_rules().rule(kind)
    if quantity < 0 or (unit_price_fen or 0) < 0:
        raise BadMeasure("quantity and price are at least 0", got=f"{quantity} at {unit_price_fen} fen")
    event = MeterEvent(
        id=new_id("mtr"),
        event_key=key,
        kind=kind,
        quantity=quantity,
        unit_price_fen=unit_price_fen,
        asset_id=asset,
        version_id=version,
        stage=stage,
        agreement_id=agreement,
        payer_id=payer,
        payee_id=payee,
        venue_id=venue,
        attributes=dict(attributes or {}),
        at=require_utc(now),
        entry_id="",
    )
    if not _claim(db, event):
        return db.exec(select(MeterEvent.id).where(MeterEvent.event_key == key)).one()

    entry_id = record(
        db, actor, Tag.COST_METERED, now, asset=asset, version=version, agreement=agreement, facts=_facts(event)
    )
    db.execute(_ENTERED, {"event": event.id, "entry": entry_id})
    _WAITS.run(db, event_id=event.id, asset_id=asset)
    outbox.enqueue(db, POST_TASK, {"event": event.id}, key=event.id, now=now)
    return event.id


def _facts(event: MeterEvent) -> Json:
    return {
        "kind": event.kind,
        "quantity": event.quantity,
        "unit_price_fen": event.unit_price_fen,
        "key": event.event_key,
        "payer": event.payer_id,
        "payee": event.payee_id,
        "event": event.id,
        "venue": event.venue_id,
        "stage": event.stage,
        "attributes": event.attributes,
    }


def _claim(db: Session, event: MeterEvent) -> bool:
    """Add an event; False when its key was metered before, or by another at this moment, who is waited for."""
    # PostgreSQL's driver does not count the rows of an insert, so the row itself is asked for.
    return db.execute(_claiming(db.get_bind().dialect.name), event.model_dump()).first() is not None


@cache
def _claiming(dialect: str) -> Executable:
    insert_once = sqlite.insert if dialect == "sqlite" else postgresql.insert
    row = insert_once(_EVENTS).on_conflict_do_nothing(index_elements=["event_key"])
    return row.returning(_EVENTS.c.id)


def post_event(db: Session, event_id: str, now: datetime, *, book: TariffBook | None = None) -> LedgerTransaction:
    """Rate a metered event and put it into the books; again, or by two workers at once, it enters only once.

    It is rated at the tariff of the time it happened, however late it is posted.  book: tariffs, None = published.
    Raises NoSuchEvent, NoTariff, NoPostingRule, PartyMissing.  Records: ledger:posted.
    """
    event = queries.event(db, event_id)
    known = ledger_queries.by_key(db, rating.event_key(event_id))
    if known is not None:
        return known

    draft = rating.rate(event, posting_rules().rule(event.kind), book or tariff_book())

    transaction = ledger.post(db, SERVICE_ACTOR, draft, now)
    queries.forget_waiting(db, event_id)
    return transaction


def post_events(db: Session, events: Sequence[MeterEvent], now: datetime, *, book: TariffBook | None = None) -> Sweep:
    """Put many events into the books as `post_event` does, with one statement per table.

    An event that cannot be rated does not hold up the others and keeps waiting.  Records: ledger:posted per event.
    """
    book, drafts, stuck = book or tariff_book(), [], dict[str, str]()
    for event in events:
        try:
            drafts.append(rating.rate(event, posting_rules().rule(event.kind), book))
        except DomainError as error:
            stuck[event.id] = str(error)

    ledger.post_all(db, SERVICE_ACTOR, drafts, now)
    queries.forget_all_waiting(db, [str(draft.meter_event) for draft in drafts])
    return Sweep(len(drafts), stuck, events[-1].id if events else None)


def post_pending(
    db: Session, now: datetime, *, after: str = "", before: datetime | None = None, limit: int = 100
) -> Sweep:
    """Post a page of the events that wait, in order of their ids, save those that another worker has in hand.

    after: id of the last event already looked at, to go on with the next page; before: only what happened earlier.
    Records: ledger:posted per event.
    """
    return post_events(db, queries.take_waiting(db, after=after, before=before, limit=limit), now)


def post_with_others(db: Session, event_id: str, now: datetime) -> None:
    """Post an event and, in the same transaction, the page that waits behind it, so that a backlog goes by the page.

    Raises and records as `post_event`; another event that cannot be rated keeps waiting.
    """
    if queries.waits(db, event_id):
        post_event(db, event_id, now)
        post_pending(db, now, after=event_id, limit=PAGE)


def sweep(runtime: Runtime) -> Sweep:
    """Post every event that was left behind, page by page, each page its own transaction; for the schedule.

    Fresh events are left to the outbox.  Returns the sum of all pages; `last` is None.
    """
    now = runtime.clock.now()
    posted, stuck = 0, dict[str, str]()
    after: str | None = ""
    while after is not None:
        with runtime.database.transaction() as db:
            page = post_pending(db, now, after=after, before=now - LEFT_BEHIND, limit=PAGE)
        posted, stuck, after = posted + page.posted, stuck | page.stuck, page.last
    for event, reason in stuck.items():
        get_logger().warning("event cannot be posted", event_id=event, reason=reason)
    return Sweep(posted, stuck, None)
