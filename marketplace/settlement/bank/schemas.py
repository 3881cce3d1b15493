"""What crosses HTTP about payment orders and bank statements."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from marketplace.settlement.rules import CancelReason, Resolution


class StatementIn(BaseModel):
    """A bank statement, ISO 20022 camt.053, as text."""

    model_config = ConfigDict(extra="forbid")

    statement: str = Field(min_length=1, max_length=1 << 20)


class PaymentOrderOut(BaseModel):
    """A file for the bank, without the file."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    payments: int
    total_fen: int
    sha256: str
    made_at: datetime
    state: str = Field(description="`placed`, `settled` when nothing of it waits, `cancelled`, or `contested`.")
    cancelled_at: datetime | None


class PaymentOrderPage(BaseModel):
    """Payment orders.  next: cursor of the next page, null on the last."""

    items: list[PaymentOrderOut]
    next: str | None


class CancellationIn(BaseModel):
    """Why a payment order is cancelled."""

    model_config = ConfigDict(extra="forbid")

    reason: CancelReason


class ResolutionIn(BaseModel):
    """What became of a cancelled order that the bank carried out, or that was cancelled by mistake."""

    model_config = ConfigDict(extra="forbid")

    decision: Resolution


class CreditOutcomeOut(BaseModel):
    """What became of one credit of a statement."""

    model_config = ConfigDict(from_attributes=True)

    reference: str
    amount_fen: int
    outcome: str
    invoice: str | None
