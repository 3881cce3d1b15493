"""Tables of accounting."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from marketplace.plumbing.db import UtcDateTime


class Capitalisation(SQLModel, table=True):
    """An asset whose cost stands in its provider's balance sheet; one row per asset, for good.

    treatment: `intangible` or `inventory`; parts: months of useful life, or expected sales.  cost_minor: what was
    capitalised.  ended_at: when it was written off at delisting, None while it is carried.
    """

    __tablename__ = "capitalisation"

    asset_id: str = Field(primary_key=True, foreign_key="asset.id")
    provider_id: str = Field(foreign_key="participant.id", index=True)
    treatment: str
    parts: int
    cost_minor: int = Field(sa_type=BigInteger)
    currency: str
    began_at: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    entry_id: str
