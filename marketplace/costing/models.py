"""Tables of costing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from marketplace.plumbing.db import JsonColumn, UtcDateTime


class MeterEvent(SQLModel, table=True):
    """Something happened that costs or earns.

    kind: a tariff or price kind, e.g. `governance.scan`, `legal.opinion`, `registration.certificate`, `sale.access`.
    quantity: whole units; unit_price_fen: rate fixed at the event for prices agreed in a contract, None = by tariff.
    event_key: unique, makes metering and posting idempotent.  venue_id: exchange operator that earns the supplier fee.
    attributes: codes and whole numbers that choose among tariffs, e.g. {"modality": "CT", "engagements_12m": 6}.
    at: when it happened, which decides the tariff; entry_id: log entry of the metering.
    """

    __tablename__ = "meter_event"
    __table_args__ = (
        Index("ix_meter_event_payer_id_at", "payer_id", "at"),
        Index("ix_meter_event_payee_id_kind", "payee_id", "kind"),
    )

    id: str = Field(primary_key=True)
    event_key: str = Field(unique=True)
    kind: str = Field(index=True)
    quantity: int = Field(sa_type=BigInteger)
    unit_price_fen: int | None = Field(default=None, sa_type=BigInteger)
    asset_id: str = Field(index=True)
    version_id: str | None = None
    stage: str | None = None
    agreement_id: str | None = Field(default=None, index=True)
    payer_id: str
    payee_id: str | None = None
    venue_id: str | None = None
    attributes: dict[str, Any] = Field(default_factory=dict, sa_type=JsonColumn)
    at: datetime = Field(sa_type=UtcDateTime)
    entry_id: str


class MeterWaiting(SQLModel, table=True):
    """An event that is not in the books yet: made with the event, deleted in the transaction that posts it."""

    __tablename__ = "meter_waiting"

    event_id: str = Field(primary_key=True, foreign_key="meter_event.id")
    asset_id: str = Field(index=True)
