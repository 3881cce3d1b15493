"""Tables of the exchange."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlmodel import Field, SQLModel

from marketplace.plumbing.db import JsonColumn, UtcDateTime


class Offer(SQLModel, table=True):
    """What may be bought of a version.

    uses: ODRL policy (type Offer) in the profile of `contracts/odrl`; price_plan: data of a kind in
    `contracts/price-plans`; delivery_mode: `download` for now; template: `research-use/v1` …
    """

    __tablename__ = "offer"

    id: str = Field(primary_key=True)
    provider_id: str = Field(foreign_key="participant.id", index=True)
    asset_id: str = Field(foreign_key="asset.id", index=True)
    version_id: str = Field(foreign_key="version.id", index=True)
    template: str
    uses: dict[str, Any] = Field(sa_type=JsonColumn)  # type: ignore[call-overload]
    price_plan: dict[str, Any] = Field(sa_type=JsonColumn)  # type: ignore[call-overload]
    delivery_mode: str
    term_days: int
    made_at: datetime = Field(sa_type=UtcDateTime)  # type: ignore[call-overload]


class Listing(SQLModel, table=True):
    """An offer on the exchange; states in `exchange.rules`.  Visible = listed and everything valid now."""

    __tablename__ = "listing"

    id: str = Field(primary_key=True)
    offer_id: str = Field(foreign_key="offer.id", unique=True)
    asset_id: str = Field(foreign_key="asset.id", index=True)
    version_id: str = Field(foreign_key="version.id", index=True)
    operator_id: str = Field(foreign_key="participant.id")
    state: str = Field(index=True)
    document: str | None = None
    submitted_at: datetime = Field(sa_type=UtcDateTime)  # type: ignore[call-overload]
    listed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # type: ignore[call-overload]
    reason: str = ""


class CatalogueTerm(SQLModel, table=True):
    """One search term of a listing: lower-case words, and bigrams of Chinese text, so 肺癌 finds 肺癌."""

    __tablename__ = "catalogue_term"

    listing_id: str = Field(primary_key=True, foreign_key="listing.id")
    term: str = Field(primary_key=True, index=True)
    weight: int


class MarketReference(SQLModel, table=True):
    """A product listed elsewhere, as a public source reports it; never a listing or a participant of this exchange."""

    __tablename__ = "market_reference"

    id: str = Field(primary_key=True)
    date: str
    product: str
    kind: str
    provider: str
    venue: str
    note: str
    grade: str
    source: str
    price_fen: int | None = None
    is_example: bool = False
