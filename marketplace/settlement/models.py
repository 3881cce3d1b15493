"""Tables of settlement."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from marketplace.plumbing.db import JsonColumn, UtcDateTime
from marketplace.settlement.rules import OrderState


class InvoiceSeries(SQLModel, table=True):
    """The last number given by an issuer in a year (China's calendar) for a kind of document."""

    __tablename__ = "invoice_series"

    issuer_id: str = Field(primary_key=True, foreign_key="participant.id")
    kind: str = Field(primary_key=True)
    year: int = Field(primary_key=True)
    last: int = 0


class Invoice(SQLModel, table=True):
    """What a buyer owes, or with kind `credit_note` what it is owed back; states are in `settlement.rules`.

    number: without gaps within issuer, kind and year; period: a month, `2026-09`, or the moment up to which it was
    issued; document: SHA-256 of the document both may read; credits: the invoice that a credit note is about.
    received_fen: what was paid so far, never more than was asked; credited_fen: what credit notes took off;
    bounced_fen: what the bank took back after it asked for nothing any more; until it is made good nothing is paid out
    of it; bounced_at: when it did so first, from which on the grace is had once; suspended_at: when its agreements were
    held for being unpaid, or for what the bank took back.
    """

    __tablename__ = "invoice"
    # With the moment, so that a page of what either party has is read in its order.
    __table_args__ = (
        UniqueConstraint("issuer_id", "number"),
        Index("ix_invoice_buyer_issued", "buyer_id", "issued_at", "id"),
        Index("ix_invoice_issuer_issued", "issuer_id", "issued_at", "id"),
    )

    id: str = Field(primary_key=True)
    number: str = Field(index=True)
    kind: str
    issuer_id: str = Field(foreign_key="participant.id")
    buyer_id: str = Field(foreign_key="participant.id")
    currency: str
    period: str
    state: str = Field(index=True)
    document: str
    total_fen: int = Field(sa_type=BigInteger)
    vat_fen: int = Field(sa_type=BigInteger)
    received_fen: int = Field(default=0, sa_type=BigInteger)
    credited_fen: int = Field(default=0, sa_type=BigInteger)
    bounced_fen: int = Field(default=0, sa_type=BigInteger)
    credits: str | None = Field(default=None, foreign_key="invoice.id", index=True)
    issued_at: datetime = Field(sa_type=UtcDateTime)
    due_at: datetime = Field(sa_type=UtcDateTime)
    overdue_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    bounced_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    suspended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    paid_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class InvoiceLine(SQLModel, table=True):
    """One metered event on one invoice, once, however often it is rated again.

    credited_by: the credit note that took it back.
    transaction_id: its posting when the invoice was issued; entry_id, posting_entry_id: log entries of the cause and of
    that posting, which prove the line.
    """

    __tablename__ = "invoice_line"
    __table_args__ = (UniqueConstraint("invoice_id", "position"),)

    id: str = Field(primary_key=True)
    invoice_id: str = Field(foreign_key="invoice.id", index=True)
    position: int
    meter_event: str = Field(unique=True, foreign_key="meter_event.id")
    transaction_id: str = Field(unique=True, foreign_key="ledger_transaction.id")
    kind: str
    at: datetime = Field(sa_type=UtcDateTime)
    agreement_id: str | None = Field(default=None, index=True)
    asset_id: str | None = None
    provider_id: str
    price_fen: int = Field(sa_type=BigInteger)
    vat_fen: int = Field(sa_type=BigInteger)
    entry_id: str
    posting_entry_id: str
    credited_by: str | None = Field(default=None, foreign_key="invoice.id")


class Share(SQLModel, table=True):
    """What one beneficiary gets of a paid line.  owner: a participant, or `<participant>:<role>` for a part of it.

    order_id, reference: the payment order that pays it and the transfer in it, None until then; paid_at: when the
    bank's statement confirmed it.  returned_as: the transfer that came back and whose return stands in the books.
    A share of a line that was credited is void.
    """

    __tablename__ = "share"

    line_id: str = Field(primary_key=True, foreign_key="invoice_line.id")
    role: str = Field(primary_key=True)
    issuer_id: str = Field(foreign_key="participant.id", index=True)
    provider_id: str = Field(foreign_key="participant.id", index=True)
    asset_id: str | None = Field(default=None, index=True)
    owner: str = Field(index=True)
    amount_fen: int = Field(sa_type=BigInteger)
    order_id: str | None = Field(default=None, foreign_key="payment_order.id", index=True)
    reference: str | None = Field(default=None, index=True)
    paid_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    returned_as: str | None = None
    void: bool = False


class SchemeChoice(SQLModel, table=True):
    """Which published scheme a provider's sales are settled by.  owners: role -> who gets it."""

    __tablename__ = "scheme_choice"

    provider_id: str = Field(primary_key=True, foreign_key="participant.id")
    scheme: str
    owners: dict[str, Any] = Field(sa_type=JsonColumn)
    chosen_at: datetime = Field(sa_type=UtcDateTime)


class BankAccount(SQLModel, table=True):
    """Where an owner of shares is paid.  bank: the CNAPS code of its bank, 12 digits."""

    __tablename__ = "bank_account"

    owner: str = Field(primary_key=True)
    set_by: str = Field(foreign_key="participant.id", index=True)
    holder: str
    account: str
    bank: str
    set_at: datetime = Field(sa_type=UtcDateTime)


class PaymentOrder(SQLModel, table=True):
    """A file for the bank of an exchange, or of a provider that pays for stages.

    message: the ISO 20022 document; sha256: of its bytes.  cancelled_at, cancellation: where the bank did not carry it
    out, why, what each transfer paid, and the debits that the bank told of it after that: `contested` until a person
    says what holds, `resolved` from then on, whatever becomes of the order (`settlement.bank.cancelling`).
    """

    __tablename__ = "payment_order"
    # In the order of the list, so that a page of it is read and not sorted.
    __table_args__ = (Index("ix_payment_order_issuer_made", "issuer_id", "made_at", "id"),)

    id: str = Field(primary_key=True)
    issuer_id: str = Field(foreign_key="participant.id")
    payments: int
    total_fen: int = Field(sa_type=BigInteger)
    sha256: str
    message: str
    made_at: datetime = Field(sa_type=UtcDateTime)
    cancelled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    cancellation: dict[str, Any] | None = Field(default=None, sa_type=JsonColumn)

    @property
    def cancelled_state(self) -> OrderState | None:
        """`cancelled` or `contested`, None for one that was not cancelled."""
        if self.cancelled_at is None:
            return None
        return OrderState.CONTESTED if (self.cancellation or {})["contested"] else OrderState.CANCELLED


class Payable(SQLModel, table=True):
    """What a provider owes for a stage to who did the work; there is a row from when it was first ordered or paid.

    part: 0, then one for each difference of a corrected tariff; transaction_id: the posting that it pays; amount_fen:
    below zero where the payee owes it back, which the next transfer to it takes off; at: when the work was metered;
    order_id, reference: the payment order and the transfer in it, None until ordered; paid_at: when the bank's
    statement confirmed it, or the provider said so; payments: how often it was paid, more than once where a transfer
    came back.
    """

    __tablename__ = "payable"

    meter_event: str = Field(primary_key=True, foreign_key="meter_event.id")
    part: int = Field(default=0, primary_key=True)
    transaction_id: str = Field(foreign_key="ledger_transaction.id")
    kind: str
    asset_id: str = Field(index=True)
    payer_id: str = Field(foreign_key="participant.id", index=True)
    payee_id: str = Field(foreign_key="participant.id", index=True)
    amount_fen: int = Field(sa_type=BigInteger)
    at: datetime = Field(sa_type=UtcDateTime)
    order_id: str | None = Field(default=None, foreign_key="payment_order.id", index=True)
    reference: str | None = Field(default=None, index=True)
    paid_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    payments: int = 0

    @property
    def state(self) -> str:
        """`owed`, then `ordered`, then `paid`."""
        if self.paid_at is not None:
            return "paid"
        return "owed" if self.order_id is None else "ordered"


class Refund(SQLModel, table=True):
    """What an exchange owes back to a buyer.  cause: `overpayment`, `credit_note` or `deposit`; states are derived.

    cause_key: names the cause, unique, so that nothing is owed twice; order_id, reference: the payment order and the
    transfer in it, None until ordered; paid_at: when the bank's statement confirmed it; void: the bank took back
    what it would give back.
    """

    __tablename__ = "refund"
    # With the moment, so that a page of what either party has is read in its order.
    __table_args__ = (
        Index("ix_refund_buyer_owed", "buyer_id", "owed_at", "id"),
        Index("ix_refund_issuer_owed", "issuer_id", "owed_at", "id"),
    )

    id: str = Field(primary_key=True)
    issuer_id: str = Field(foreign_key="participant.id")
    buyer_id: str = Field(foreign_key="participant.id")
    invoice_id: str = Field(foreign_key="invoice.id", index=True)
    cause: str
    cause_key: str = Field(unique=True)
    amount_fen: int = Field(sa_type=BigInteger)
    owed_at: datetime = Field(sa_type=UtcDateTime)
    order_id: str | None = Field(default=None, foreign_key="payment_order.id", index=True)
    reference: str | None = Field(default=None, unique=True)
    paid_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    void: bool = False

    @property
    def state(self) -> str:
        """`owed`, then `ordered`, then `paid`; or `void`."""
        if self.void:
            return "void"
        if self.paid_at is not None:
            return "paid"
        return "owed" if self.order_id is None else "ordered"


class Outcome(SQLModel, table=True):
    """What the verifier of a pay-for-results agreement found; states are in `settlement.rules`.

    value_permille: as measured; met: whether it meets the target; reason: a code, why it was disputed.
    """

    __tablename__ = "outcome"

    agreement_id: str = Field(primary_key=True, foreign_key="agreement.id")
    state: str
    value_permille: int = Field(sa_type=BigInteger)
    met: bool
    rulings: int = 1
    reason: str = ""
    declared_at: datetime = Field(sa_type=UtcDateTime)
    disputed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    settled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class BankEntry(SQLModel, table=True):
    """What an exchange's bank has told of, taken once.  invoice_id: what it is about, None when it fits none.

    by_hand: the exchange said so itself; told_as: the reference under which a statement then told the same.
    """

    __tablename__ = "bank_entry"

    issuer_id: str = Field(primary_key=True, foreign_key="participant.id")
    reference: str = Field(primary_key=True)
    invoice_id: str | None = Field(default=None, foreign_key="invoice.id", index=True)
    amount_fen: int = Field(sa_type=BigInteger)
    outcome: str
    by_hand: bool = False
    told_as: str | None = None
    taken_at: datetime = Field(sa_type=UtcDateTime)
