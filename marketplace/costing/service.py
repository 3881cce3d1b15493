"""Metering an event in the transaction that causes it, and posting it to the books later, exactly once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select
from structlog import get_logger

from marketplace.audit.entry import Tag, record
from marketplace.costing import queries, rating
from marketplace.costing.models import MeterEvent
from marketplace.costing.tariffs import TariffBook, tariff_book
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

POST_TASK = "ledger.post"

# The outbox posts within seconds; what waits longer has lost its outbox row or used up its attempts.
LEFT_BEHIND = timedelta(minutes=5)


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
) -> str:
    """Note a cost or revenue event; a worker posts it to the ledger.  Returns the event's id.

    quantity: whole units of the kind (scans, opinions, …), at least 0; key: names the cause, the same key meters once.
    payee: who earns it, needed for a sale; venue: the exchange operator that earns the supplier fee of a sale.
    unit_price_fen: agreed price, VAT included; None = by tariff at `now`.
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
        at=require_utc(now),
        entry_id="",
    )
    if not _claim(db, event):
        return db.exec(select(MeterEvent.id).where(MeterEvent.event_key == key)).one()

    facts: Json = {
        "kind": kind,
        "quantity": quantity,
        "unit_price_fen": unit_price_fen,
        "key": key,
        "payer": payer,
        "payee": payee,
        "event": event.id,
        "venue": venue,
        "stage": stage,
    }
    entry_id = record(db, actor, Tag.COST_METERED, now, asset=asset, version=version, agreement=agreement, facts=facts)
    db.exec(update(MeterEvent).where(col(MeterEvent.id) == event.id).values(entry_id=entry_id))
    outbox.enqueue(db, POST_TASK, {"event": event.id}, key=event.id, now=now)
    return event.id


def _claim(db: Session, event: MeterEvent) -> bool:
    """Add an event; False when its key was metered before, or by another at this moment, who is waited for."""
    insert = sqlite.insert if db.get_bind().dialect.name == "sqlite" else postgresql.insert
    row = insert(MeterEvent).values(**event.model_dump()).on_conflict_do_nothing(index_elements=["event_key"])
    # PostgreSQL's driver does not count the rows of an insert, so the row itself is asked for.
    return db.execute(row.returning(col(MeterEvent.id))).first() is not None


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

    return ledger.post(db, SERVICE_ACTOR, draft, now)


def post_pending(
    db: Session, now: datetime, *, after: str = "", before: datetime | None = None, limit: int = 100
) -> Sweep:
    """Post events that no worker has brought into the books; one that cannot be rated does not hold up the others.

    after: id of the last event already looked at, to go on with the next page; before: only what happened earlier.
    Records: ledger:posted per event.
    """
    waiting = queries.pending(db, after=after, before=before, limit=limit)

    posted, stuck = 0, {}
    for event in waiting:
        try:
            post_event(db, event.id, now)
            posted += 1
        except DomainError as error:
            stuck[event.id] = str(error)

    return Sweep(posted, stuck, waiting[-1].id if waiting else None)


def sweep(runtime: Runtime) -> Sweep:
    """Post every event that was left behind, page by page, each page its own transaction; for the schedule.

    Fresh events are left to the outbox.  Returns the sum of all pages; `last` is None.
    """
    now = runtime.clock.now()
    posted, stuck = 0, dict[str, str]()
    after: str | None = ""
    while after is not None:
        with runtime.database.transaction() as db:
            page = post_pending(db, now, after=after, before=now - LEFT_BEHIND)
        posted, stuck, after = posted + page.posted, stuck | page.stuck, page.last
    for event, reason in stuck.items():
        get_logger().warning("event cannot be posted", event_id=event, reason=reason)
    return Sweep(posted, stuck, None)
