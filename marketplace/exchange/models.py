"""Tables of the exchange."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from marketplace.plumbing.db import JsonColumn, UtcDateTime


class Offer(SQLModel, table=True):
    """What may be bought of a version; never changed after it was made.

    uses: ODRL policy (type Offer) in the profile of `contracts/odrl`; price_plan: data of a kind in
    `contracts/price-plans`; delivery_mode: `download` for now; template: `research-use/v1` … with its parameters.
    """

    __tablename__ = "offer"
    __table_args__ = (Index("ix_offer_provider_made", "provider_id", "made_at", "id"),)

    id: str = Field(primary_key=True)
    provider_id: str = Field(foreign_key="participant.id")
    asset_id: str = Field(foreign_key="asset.id", index=True)
    version_id: str = Field(foreign_key="version.id", index=True)
    template: str
    parameters: dict[str, Any] = Field(sa_type=JsonColumn)
    uses: dict[str, Any] = Field(sa_type=JsonColumn)
    price_plan: dict[str, Any] = Field(sa_type=JsonColumn)
    delivery_mode: str
    term_days: int
    made_at: datetime = Field(sa_type=UtcDateTime)


class Listing(SQLModel, table=True):
    """An offer on the exchange; states in `exchange.rules`.  Visible = listed and everything valid now.

    document: SHA-256 of the listing document that the operator signs; reason: why it came to its present state.
    state_before: what a listing that was forced off comes back to.
    """

    __tablename__ = "listing"
    __table_args__ = (Index("ix_listing_operator_in_order", "operator_id", "id"),)

    id: str = Field(primary_key=True)
    offer_id: str = Field(foreign_key="offer.id", unique=True)
    asset_id: str = Field(foreign_key="asset.id", index=True)
    version_id: str = Field(foreign_key="version.id", index=True)
    operator_id: str = Field(foreign_key="participant.id")
    state: str = Field(index=True)
    state_before: str = ""
    document: str | None = None
    submitted_at: datetime = Field(sa_type=UtcDateTime)
    listed_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)
    reason: str = ""
    note: str = ""


class OfferBuyer(SQLModel, table=True):
    """A buyer that a private offer is for; an offer without such rows is for everybody."""

    __tablename__ = "offer_buyer"

    offer_id: str = Field(primary_key=True, foreign_key="offer.id")
    buyer_id: str = Field(primary_key=True, foreign_key="participant.id", index=True)


class Exclusivity(SQLModel, table=True):
    """An exclusive licence in force until ends_at: nobody but its buyer gets access to the asset."""

    __tablename__ = "exclusivity"

    agreement_id: str = Field(primary_key=True)
    asset_id: str = Field(foreign_key="asset.id", index=True)
    buyer_id: str = Field(foreign_key="participant.id")
    ends_at: datetime = Field(sa_type=UtcDateTime, index=True)


class CatalogueLine(SQLModel, table=True):
    """The place of a published listing in the search index; a larger number was published later."""

    __tablename__ = "catalogue_line"

    number: int | None = Field(default=None, primary_key=True)
    listing_id: str = Field(foreign_key="listing.id", unique=True)


class CatalogueTerm(SQLModel, table=True):
    """One search term of a line: words, single characters and bigrams of Chinese text, so 肺癌 finds 肺癌.

    weight: by where the word stands, see `indexing`; 0 for labels such as `purpose:<code>`, by which filters find.
    The key is the whole row, in the order in which pages are read.
    """

    __tablename__ = "catalogue_term"
    __table_args__ = {"sqlite_with_rowid": False}

    term: str = Field(primary_key=True)
    weight: int = Field(primary_key=True)
    number: int = Field(primary_key=True, foreign_key="catalogue_line.number")


class CatalogueRevision(SQLModel, table=True):
    """Which state of what the catalogue shows this is: one row, whose number triggers of the database draw at random.

    It is another one after the commit of every transaction that wrote such a row, whoever wrote it and by whatever
    statement; never the one of an earlier state again, not even after a backup was restored.
    """

    __tablename__ = "catalogue_revision"

    id: int = Field(primary_key=True)
    number: int = Field(sa_type=BigInteger)


class Demand(SQLModel, table=True):
    """What a buyer looks for.  budget_fen: None = open."""

    __tablename__ = "demand"
    __table_args__ = (Index("ix_demand_purpose_buyer_id", "purpose", "buyer_id"),)

    id: str = Field(primary_key=True)
    buyer_id: str = Field(foreign_key="participant.id", index=True)
    title: str
    description: str
    modality: str
    body_part: str
    purpose: str
    budget_fen: int | None = Field(default=None, sa_type=BigInteger)
    published_at: datetime = Field(sa_type=UtcDateTime, index=True)


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
    price_fen: int | None = Field(default=None, sa_type=BigInteger)
    is_example: bool = False
