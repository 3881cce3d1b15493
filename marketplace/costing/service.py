"""Metering: one event row, its entry and one outbox row in the transaction of the stage or use that caused it."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, select

from marketplace.audit.entry import Tag, record
from marketplace.costing.models import MeterEvent
from marketplace.kernel.actor import Actor
from marketplace.kernel.ids import new_id
from marketplace.plumbing import outbox

POST_TASK = "ledger.post"


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
    version: str | None = None,
    stage: str | None = None,
    agreement: str | None = None,
    unit_price_fen: int | None = None,
) -> str:
    """Note a cost or revenue event; a worker posts it to the ledger.  Returns the event's id.

    quantity: whole units of the kind (scans, opinions, …), at least 0; key: names the cause, the same key meters once.
    Records: costing:metered.
    """
    known = db.exec(select(MeterEvent.id).where(MeterEvent.event_key == key)).first()
    if known is not None:
        return known
    facts = {"kind": kind, "quantity": quantity, "unit_price_fen": unit_price_fen, "key": key, "payer": payer}
    entry_id = record(
        db, actor, Tag.COST_METERED, now, asset=asset, version=version, agreement=agreement, facts=facts
    )
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
        at=now,
        entry_id=entry_id,
    )
    db.add(event)
    outbox.enqueue(db, POST_TASK, {"event": event.id}, key=event.id, now=now)
    return event.id
