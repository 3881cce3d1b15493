"""What crosses HTTP about accounting acts; the signed documents are those of `contracts/documents/`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from marketplace.accounting.rules import HeldFor
from marketplace.kernel.canonical import MAX_INTEGER
from marketplace.ledger.periods import ReopeningReason

Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Month = Annotated[str, StringConstraints(pattern=r"^20\d{2}-(0[1-9]|1[0-2])$")]
Count = Annotated[int, Field(strict=True, ge=0, le=MAX_INTEGER)]
Id = Annotated[str, StringConstraints(pattern=r"^[a-z]{3}_[A-Za-z0-9_]{1,60}$")]
StatedKind = Literal["governance.hour", "governance.document", "legal.hour", "legal.document", "registration.document"]
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


class WorkStatementDocument(_Document):
    """`contracts/documents/work-statement.schema.json`: hours or documents that an asset took, as its provider says.

    payee: the participant that did the work, None for the provider's own staff; reference: the provider's own number.
    """

    type: Literal["work-statement"]
    v: One
    asset: Id
    version: Id | None
    kind: StatedKind
    quantity: Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
    payee: Id | None
    reference: str = Field(pattern=r"^[A-Z0-9][A-Z0-9-]{0,31}$")


class WorkStatementIn(BaseModel):
    """A statement of work with the provider's detached JWS (typ `work-statement+jws`) over it (RFC 8785)."""

    model_config = ConfigDict(extra="forbid")

    document: WorkStatementDocument
    jws: str = Field(max_length=4096)


class WorkOut(BaseModel):
    """Work that is metered; a worker posts it at the tariff."""

    model_config = ConfigDict(from_attributes=True)

    event: str = Field(description="Id of the metered event.")
    document: str = Field(description="SHA-256 of the signed statement.")
    kind: str = Field(examples=["governance.hour"])
    stage: str = Field(description="The stage whose cost it is.")
    quantity: int


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


class CapitalisationIn(BaseModel):
    """How the provider holds an asset, by the interim provisions 财会〔2023〕11号; the treatment follows from it."""

    model_config = ConfigDict(extra="forbid")

    held_for: HeldFor = Field(description="own_use and service: intangible asset; sale: inventory.")
    useful_life_months: int = Field(default=60, ge=1, le=240, description="Intangible: not beyond the certificate.")
    expected_sales: int = Field(default=10, ge=1, le=100_000, description="Inventory: sales that bear the cost.")


class CapitalisationOut(BaseModel):
    """An asset in its provider's balance sheet."""

    model_config = ConfigDict(from_attributes=True)

    asset_id: str
    treatment: str = Field(examples=["intangible"])
    parts: int = Field(description="Months of useful life, or expected sales.")
    cost_minor: int
    currency: str
    began_at: datetime
    ended_at: datetime | None = Field(description="When it was written off at delisting.")
    entry_id: str


class MovementOut(BaseModel):
    """An amount before the first month, what came and went in these months, and after the last; minor units."""

    model_config = ConfigDict(from_attributes=True)

    opening_minor: int
    increase_minor: int
    decrease_minor: int = Field(description="Negative where more was taken back than went.")
    closing_minor: int = Field(description="Opening and increase, less decrease.")


class DisclosureLineOut(BaseModel):
    """One data resource over some months: carrying = cost - amortised - impaired."""

    model_config = ConfigDict(from_attributes=True)

    asset: str
    treatment: str
    origin: str = Field(description="Made by the provider itself, as is all that is capitalised here.")
    currency: str
    months_left: int | None = Field(
        description="Of useful life after the last month that is over; none for inventory and sums."
    )
    cost: MovementOut = Field(description="Inventory that is sold goes; an intangible asset stands at its cost.")
    amortised: MovementOut = Field(description="Accumulated; the increase is the expense of these months.")
    impaired: MovementOut = Field(description="Accumulated.")
    carrying: MovementOut


class DisclosureOut(BaseModel):
    """Data resources of a provider as the notes of its accounts show them, with a line per asset and sums."""

    model_config = ConfigDict(from_attributes=True)

    first: str
    last: str
    lines: list[DisclosureLineOut]
    sums: list[DisclosureLineOut] = Field(description="By treatment; `asset` is empty.")
    unsigned_months: list[str] = Field(description="Months of these that are still open: their figures may change.")


class CostGroupOut(BaseModel):
    """Stage costs of one asset, version, stage or department, from the books."""

    model_config = ConfigDict(from_attributes=True)

    name: str = Field(description="Empty for what is of none.")
    cost_fen: int


class EstimateLineOut(BaseModel):
    """A stage as it was to be expected and as the books have it, fen."""

    model_config = ConfigDict(from_attributes=True)

    stage: str
    kind: str = Field(examples=["governance.scan"])
    quantity: int
    unit_price_fen: int
    tariff: str
    estimate_fen: int
    actual_fen: int
    variance_fen: int = Field(description="Actual less estimate.")


class EstimateOut(BaseModel):
    """What making an asset was to be expected to cost when it was registered, beside what it did cost."""

    model_config = ConfigDict(from_attributes=True)

    records: int
    rated_at: datetime
    lines: list[EstimateLineOut]
    estimate_fen: int
    actual_fen: int
