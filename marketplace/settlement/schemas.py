"""What crosses HTTP about invoices, shares and payments."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from marketplace.ledger.rules import ReversalReason

PartName = Literal["department", "annotators", "operator", "patient_benefit_fund", "service_fee", "treasury"]
OwnerName = Annotated[str, StringConstraints(pattern=r"^prt_[A-Za-z0-9_-]{1,60}(:[a-z_]{2,20})?$")]


class InvoiceIn(BaseModel):
    """Whom to bill.  month: a month that is over, `2026-09`; left out: everything charged until now."""

    model_config = ConfigDict(extra="forbid")

    buyer: str = Field(min_length=3, max_length=80)
    month: Annotated[str, Field(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$", examples=["2026-09"])] | None = None


class PaymentIn(BaseModel):
    """A payment that came in.  reference: the bank's own."""

    model_config = ConfigDict(extra="forbid")

    reference: str = Field(pattern=r"^[A-Za-z0-9/-]{1,35}$", examples=["2026100112345678"])
    amount_fen: int = Field(ge=1, le=10**15, strict=True)


class CreditIn(BaseModel):
    """What to take back.  positions: lines of the invoice, none = all of them."""

    model_config = ConfigDict(extra="forbid")

    positions: list[Annotated[int, Field(ge=1, le=10**6, strict=True)]] = Field(default_factory=list, max_length=1000)
    reason: ReversalReason = ReversalReason.CAUSE_CANCELLED


class SchemeChoiceIn(BaseModel):
    """scheme: one of GET /v1/settlement/schemes; owners: role -> participant, or `<own id>:<role>`."""

    model_config = ConfigDict(extra="forbid")

    scheme: str = Field(min_length=3, max_length=80, examples=["provider-keeps-all-v1"])
    owners: dict[PartName, OwnerName] = Field(default_factory=dict, examples=[{"operator": "prt_operator"}])


class BankAccountIn(BaseModel):
    """Where shares are paid to.  part: of the caller, left out for itself; bank: CNAPS code."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    part: PartName | None = None
    holder: str = Field(min_length=2, max_length=140, examples=["示例市第一人民医院"])
    account: str = Field(pattern=r"^[0-9]{8,30}$", examples=["6222000011112222"])
    bank: str = Field(pattern=r"^[0-9]{12}$", examples=["102100099996"])


class InvoiceLineOut(BaseModel):
    """One charge on an invoice with the log entries that prove it."""

    model_config = ConfigDict(from_attributes=True)

    position: int
    kind: str
    at: datetime
    agreement_id: str | None
    asset_id: str | None
    provider_id: str
    price_fen: int
    vat_fen: int
    transaction_id: str
    entry_id: str = Field(description="Log entry of the cause.")
    posting_entry_id: str = Field(description="Log entry of the posting.")
    credited_by: str | None


class InvoiceOut(BaseModel):
    """An invoice or credit note without its lines."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    number: str = Field(examples=["INV-2026-000001"])
    kind: str
    issuer_id: str
    buyer_id: str
    currency: str
    period: str
    state: str
    document: str
    total_fen: int
    vat_fen: int
    received_fen: int = Field(description="What was paid so far, never more than was asked for.")
    credited_fen: int
    bounced_fen: int = Field(description="What the bank took back of it after it was paid, and nobody has made good.")
    credits: str | None
    issued_at: datetime
    due_at: datetime
    overdue_at: datetime | None
    suspended_at: datetime | None
    paid_at: datetime | None


class InvoicePage(BaseModel):
    """Invoices and credit notes.  next: cursor of the next page, null on the last."""

    items: list[InvoiceOut]
    next: str | None


class InvoiceDetail(InvoiceOut):
    """An invoice with its lines; of a credit note, the lines it took back."""

    lines: list[InvoiceLineOut]


class IssuedOut(BaseModel):
    """The invoice that was issued, null where there was nothing to bill."""

    invoice: InvoiceOut | None


class ShareOut(BaseModel):
    """What one beneficiary gets of a paid line."""

    model_config = ConfigDict(from_attributes=True)

    line_id: str
    role: str
    provider_id: str
    asset_id: str | None
    owner: str
    amount_fen: int
    order_id: str | None
    paid_at: datetime | None = Field(description="When the bank's statement confirmed its transfer.")
    void: bool


class SharePage(BaseModel):
    """Shares.  next: cursor of the next page, null on the last."""

    items: list[ShareOut]
    next: str | None


class SchemeOut(BaseModel):
    """A published settlement scheme."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    title: str
    title_zh: str
    source: str
    is_example: bool
    service_fee_per_mille: int
    cost_recovery_first: bool
    shares: list[dict[str, int | str]]
    treasury: bool


class SchemeChoiceOut(BaseModel):
    """The caller's choice."""

    model_config = ConfigDict(from_attributes=True)

    provider_id: str
    scheme: str
    owners: dict[str, str]
    chosen_at: datetime


class BankAccountOut(BaseModel):
    """Where an owner is paid."""

    model_config = ConfigDict(from_attributes=True)

    owner: str
    holder: str
    account: str
    bank: str
    set_at: datetime


class RefundOut(BaseModel):
    """What an exchange owes back to a buyer."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    issuer_id: str
    buyer_id: str
    invoice_id: str
    cause: str = Field(examples=["overpayment"])
    amount_fen: int
    state: str = Field(description="`owed`, `ordered` from the bank, or `paid`.")
    order_id: str | None
    owed_at: datetime
    paid_at: datetime | None


class RefundPage(BaseModel):
    """What is owed back.  next: cursor of the next page, null on the last."""

    items: list[RefundOut]
    next: str | None


class PayableOut(BaseModel):
    """What a provider owes for a stage to who did the work."""

    model_config = ConfigDict(from_attributes=True)

    meter_event: str
    part: int = Field(description="0, then one for each difference of a corrected tariff.")
    transaction_id: str = Field(description="Its posting, which names the log entries that prove it.")
    kind: str = Field(examples=["legal.opinion"])
    asset_id: str
    payer_id: str
    payee_id: str
    amount_fen: int = Field(description="Below zero: the payee owes it back, and the next order to it takes it off.")
    state: str = Field(description="`owed`, `ordered` from the bank, or `paid`.")
    at: datetime
    order_id: str | None
    paid_at: datetime | None


class PayablePage(BaseModel):
    """What is owed for stages.  next: cursor of the next page, null on the last."""

    items: list[PayableOut]
    next: str | None


class PayablesIn(BaseModel):
    """What to order: meter events of the caller's payables, none = every one whose payee has said where it is paid."""

    model_config = ConfigDict(extra="forbid")

    events: list[Annotated[str, Field(min_length=3, max_length=40)]] = Field(default_factory=list, max_length=1000)


class PaidByHandIn(BaseModel):
    """A payment that the caller made in another way, or of a part below zero got back.  reference: the bank's own."""

    model_config = ConfigDict(extra="forbid")

    reference: str = Field(pattern=r"^[A-Za-z0-9/-]{1,35}$", examples=["2026100112345678"])
    part: int = Field(default=0, ge=0, le=10**6, strict=True)


class MeasuredIn(BaseModel):
    """What the verifier measured, in thousandths of what the kpi measures."""

    model_config = ConfigDict(extra="forbid")

    value_permille: int = Field(ge=0, le=10**9, strict=True)


class DisputeIn(BaseModel):
    """Why a party disputes what was declared."""

    model_config = ConfigDict(extra="forbid")

    reason: Literal["wrong_baseline", "wrong_measurement", "wrong_population", "evidence_missing"]


class OutcomeOut(BaseModel):
    """What the verifier found, and how far it is settled."""

    model_config = ConfigDict(from_attributes=True)

    agreement_id: str
    state: str
    value_permille: int
    met: bool
    rulings: int
    reason: str
    declared_at: datetime
    disputed_at: datetime | None
    settled_at: datetime | None
