"""A market database without the web: what tests of costing and ledger meter and post into."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlmodel import SQLModel

from marketplace.audit import models as audit_models
from marketplace.costing import models as costing_models
from marketplace.costing.service import meter, post_event
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.ledger import models as ledger_models
from marketplace.plumbing import outbox
from marketplace.plumbing.db import Database

NOW = datetime(2026, 9, 1, 1, 0, tzinfo=UTC)
TABLES = [
    SQLModel.metadata.tables[name]
    for module in (audit_models, ledger_models, costing_models, outbox)
    for name in {
        one.__tablename__
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, SQLModel) and hasattr(one, "__table__")
    }
]


@contextmanager
def open_books(folder: Path, url: str = ""):
    """A database with the tables of audit, ledger, costing and the outbox."""
    database = Database(url or f"sqlite:///{folder / 'books.sqlite3'}")
    SQLModel.metadata.create_all(database.engine, tables=TABLES)
    try:
        yield database
    finally:
        database.dispose()


def meter_event(db, kind, quantity=1, *, key, now=NOW, asset="ast_1", payer="prt_hospital", **rest):
    return meter(db, SERVICE_ACTOR, kind, quantity, now, key=key, asset=asset, payer=payer, **rest)


def meter_asset(db, asset="ast_1", *, payer="prt_hospital"):
    """The three paid stages of the report's example: 1,000 scans, one opinion, one certificate."""
    return [
        meter_event(db, "governance.scan", 1000, key=f"g:{asset}", asset=asset, payer=payer, stage="governed"),
        meter_event(db, "legal.opinion", key=f"l:{asset}", asset=asset, payer=payer, payee="prt_law_firm"),
        meter_event(db, "registration.certificate", key=f"c:{asset}", asset=asset, payer=payer, payee="prt_registrar"),
    ]


def meter_sale(db, price, *, key="s:1", asset="ast_1"):
    return meter_event(
        db,
        "sale.access",
        key=key,
        asset=asset,
        payer="prt_pharma",
        payee="prt_hospital",
        venue="prt_exchange",
        agreement="agr_1",
        unit_price_fen=price,
    )


def post_all(db, events, now=NOW):
    return [post_event(db, event, now) for event in events]
