"""Metered events as in the life of a market, and a store full of them that waits to be posted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice

from sqlalchemy import insert

from marketplace.audit.entry import Tag, Told, record_all
from marketplace.costing.models import MeterEvent, MeterWaiting
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.kernel.ids import new_id
from marketplace.plumbing.db import Database

START = datetime(2026, 9, 1, 1, 0, tzinfo=UTC)
PART = 2_000
# Mostly uses and some sales, as in the life of a listing; each kind by its own rule and tariff.
KINDS = ("use.transfer", "sale.access", "use.transfer", "use.transfer", "governance.scan", "legal.opinion")


def metered(number: int, kind: str, at: datetime) -> MeterEvent:
    """An event of one of 50 buyers, 40 sellers and 500 assets, at an agreed price."""
    return MeterEvent(
        id=new_id("mtr"),
        event_key=f"bench:{number}",
        kind=kind,
        quantity=1 + number % 7,
        unit_price_fen=10_000 + number % 9_999,
        asset_id=f"ast_{number % 500}",
        version_id=f"ver_{number % 500}",
        agreement_id=f"agr_{number % 2_000}",
        payer_id=f"prt_buyer_{number % 50}",
        payee_id=f"prt_seller_{number % 40}",
        venue_id="prt_exchange",
        at=at,
        entry_id=new_id("ent"),
    )


def events() -> Iterator[MeterEvent]:
    """Without end, a second apart."""
    for number, kind in enumerate(cycle(KINDS)):
        yield metered(number, kind, START + timedelta(seconds=number))


def fill(database: Database, count: int) -> None:
    """So many events that wait, each with the entry that metered it, in bulk."""
    stream = islice(events(), count)
    while part := list(islice(stream, PART)):
        with database.transaction() as db:
            about = [Told(one.asset_id, one.version_id, one.agreement_id, {"kind": one.kind}) for one in part]
            entries = record_all(db, SERVICE_ACTOR, Tag.COST_METERED, START, about)
            rows = [one.model_dump() | {"entry_id": entry} for one, entry in zip(part, entries, strict=True)]
            db.exec(insert(MeterEvent), params=rows)
            db.exec(insert(MeterWaiting), params=[{"event_id": one.id, "asset_id": one.asset_id} for one in part])
