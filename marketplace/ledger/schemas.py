"""What crosses HTTP about the books."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class BalanceOut(BaseModel):
    """The balance of one account of one participant."""

    model_config = ConfigDict(from_attributes=True)

    owner: str = Field(description="Participant whose sub-ledger it is.")
    account: str = Field(examples=["expense:governance"])
    name: str
    name_zh: str
    currency: str = Field(examples=["CNY"])
    amount_minor: int = Field(description="Minor units (fen), debit positive, credit negative.", examples=[5_500_000])


class PostingOut(BaseModel):
    """One posting of a transaction."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    account: str
    owner: str
    amount_minor: int = Field(description="Minor units (fen), debit positive, credit negative.")
    currency: str


class TransactionOut(BaseModel):
    """A transaction with the postings that the caller may see."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    kind: str = Field(examples=["governance.scan"])
    at: datetime = Field(description="When the cause happened.")
    posted_at: datetime
    memo: str
    entry_id: str = Field(description="Log entry of the cause.")
    posting_entry_id: str = Field(description="Log entry of the posting.")
    meter_event: str | None
    quantity: int
    unit_price_minor: int | None
    tariff: str | None
    asset: str | None
    version: str | None
    stage: str | None
    agreement: str | None
    reverses: str | None
    period: str = Field(description="Month that it counts in.", examples=["2026-09"])
    postings: list[PostingOut]


class TransactionPage(BaseModel):
    """Some transactions, oldest first.  next: cursor of the following page, null at the end."""

    items: list[TransactionOut]
    next: str | None
