"""Metered events as in the life of a market, and a store full of them that waits to be posted and billed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice

from sqlalchemy import insert
from sqlmodel import Session

from marketplace.audit.entry import Tag, Told, record_all
from marketplace.costing.models import MeterEvent, MeterWaiting
from marketplace.kernel.actor import SERVICE_ACTOR, Role
from marketplace.kernel.ids import new_id
from marketplace.participants.models import Participant
from marketplace.plumbing.db import Database

START = datetime(2026, 9, 1, 1, 0, tzinfo=UTC)
MONTH = "2026-09"
# One a second in a small store, closer where more than a month of seconds would be needed.
LONGEST = timedelta(days=29)
PART = 2_000
BUYERS, SELLERS, ASSETS, EXCHANGE = 50, 40, 500, "prt_exchange"
# Mostly uses, some sales at agreed prices, and a fee by tariff; all of them end on an invoice.
KINDS = ("use.transfer", "sale.access", "use.transfer", "use.transfer", "use.transfer", "exchange.buyer_fee")


def metered(number: int, kind: str, at: datetime) -> MeterEvent:
    """An event of one of 50 buyers, 40 sellers and 500 assets, at an agreed price or, where it is a fee, by tariff."""
    asset, fee = number % ASSETS, kind == "exchange.buyer_fee"
    return MeterEvent(
        id=new_id("mtr"),
        event_key=f"bench:{number}",
        kind=kind,
        quantity=1 + number % 7,
        unit_price_fen=None if fee else 10_000 + number % 9_999,
        asset_id=f"ast_{asset}",
        version_id=f"ver_{asset}",
        agreement_id=f"agr_{number % 2_000}",
        payer_id=f"prt_buyer_{number % BUYERS}",
        payee_id=EXCHANGE if fee else f"prt_seller_{asset % SELLERS}",
        venue_id=EXCHANGE,
        at=at,
        entry_id=new_id("ent"),
    )


def events(count: int, kinds: Sequence[str] = KINDS) -> Iterator[MeterEvent]:
    """So many within a month, in order, of these kinds in turn."""
    apart = min(timedelta(seconds=1), LONGEST / max(count, 1))
    for number, kind in enumerate(islice(cycle(kinds), count)):
        yield metered(number, kind, START + number * apart)


def fill(database: Database, count: int, kinds: Sequence[str] = KINDS) -> None:
    """So many events that wait, each with the entry that metered it, in bulk, and the parties that they name."""
    stream = events(count, kinds)
    with database.transaction() as db:
        _parties(db)
    while part := list(islice(stream, PART)):
        with database.transaction() as db:
            about = [Told(one.asset_id, one.version_id, one.agreement_id, {"kind": one.kind}) for one in part]
            entries = record_all(db, SERVICE_ACTOR, Tag.COST_METERED, START, about)
            rows = [one.model_dump() | {"entry_id": entry} for one, entry in zip(part, entries, strict=True)]
            db.exec(insert(MeterEvent), params=rows)
            db.exec(insert(MeterWaiting), params=[{"event_id": one.id, "asset_id": one.asset_id} for one in part])


def _parties(db: Session) -> None:
    names = {EXCHANGE: Role.EXCHANGE_OPERATOR} | {f"prt_buyer_{number}": Role.BUYER for number in range(BUYERS)}
    for number, (name, role) in enumerate(names.items()):
        db.add(
            Participant(
                id=name,
                legal_name=f"示例机构{number}",
                legal_name_en=f"Example party {number}",
                credit_code=f"{number:018}",
                kind="other",
                roles=[role],
                jurisdiction="CN",
                verified_by="bench",
                verification_method="bench",
                verified_at=START,
                admitted_at=START,
                is_example=True,
            )
        )
