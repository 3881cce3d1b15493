"""What crosses HTTP about accounting acts; the signed documents are those of `contracts/documents/`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from marketplace.kernel.canonical import MAX_INTEGER
from marketplace.ledger.periods import ReopeningReason

Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Month = Annotated[str, StringConstraints(pattern=r"^20\d{2}-(0[1-9]|1[0-2])$")]
Count = Annotated[int, Field(strict=True, ge=0, le=MAX_INTEGER)]
One = Annotated[int, Field(strict=True, ge=1, le=1)]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Turnover(_Document):
    """Debits of a period in one currency, which equal its credits; minor units as text."""

    currency: str = Field(pattern=r"^[A-Z]{3}$")
    minor: str = Field(pattern=r"^\d{1,30}$")


class PeriodCloseDocument(_Document):
    """`contracts/documents/period-close.schema.json`: what the books of a month say."""

    type: Literal["period-close"]
    v: One
    period: Month
    transactions: Count
    postings: Count
    turnover: list[Turnover] = Field(max_length=50)
    trial_balance: Hash
    previous: Hash | None


class PeriodReopeningDocument(_Document):
    """`contracts/documents/period-reopening.schema.json`.  close: SHA-256 of the closing that is taken back."""

    type: Literal["period-reopening"]
    v: One
    period: Month
    close: Hash
    reason: ReopeningReason


class PeriodClosingIn(BaseModel):
    """The document to close a period with the operator's detached JWS (typ `period-close+jws`) over it (RFC 8785)."""

    model_config = ConfigDict(extra="forbid")

    document: PeriodCloseDocument
    jws: str = Field(max_length=4096)


class PeriodReopeningIn(BaseModel):
    """The document to reopen a period with the operator's detached JWS (typ `period-reopening+jws`) over it."""

    model_config = ConfigDict(extra="forbid")

    document: PeriodReopeningDocument
    jws: str = Field(max_length=4096)


class PeriodOut(BaseModel):
    """A month of the books that was closed at least once."""

    model_config = ConfigDict(from_attributes=True)

    period: str = Field(examples=["2026-09"])
    state: str
    document: str = Field(description="SHA-256 of the signed document of the last step.")
    by: str
    at: datetime
    entry_id: str


class TrialBalanceOut(BaseModel):
    """One account of one participant in a period, minor units; closing = opening + debit - credit."""

    model_config = ConfigDict(from_attributes=True)

    owner: str
    account: str = Field(examples=["expense:governance"])
    currency: str
    opening_minor: int = Field(description="Debit positive, credit negative.")
    debit_minor: int
    credit_minor: int
    closing_minor: int
