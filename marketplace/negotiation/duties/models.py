"""Tables of the buyer's duties and of the proofs that meet them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from marketplace.plumbing.db import JsonColumn, UtcDateTime


class Duty(SQLModel, table=True):
    """A proof that an agreement's buyer owes, with its due date; one row per agreement and kind.

    kind: the ODRL action, `mkt:reportUse` or `delete`; days: within how many days of `since`.
    since: up to when use is reported, or when the agreement ended; states are in `duties.rules`.
    """

    __tablename__ = "duty"
    # What is overdue is little of all that was ever owed.
    __table_args__ = (Index("ix_duty_state", "state", "agreement_id"),)

    agreement_id: str = Field(primary_key=True, foreign_key="agreement.id")
    kind: str = Field(primary_key=True)
    days: int
    since: datetime = Field(sa_type=UtcDateTime)
    due_at: datetime = Field(sa_type=UtcDateTime, index=True)
    state: str = "pending"
    reminded_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    demanded_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    overdue_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class UseReport(SQLModel, table=True):
    """An accepted report of use: each begins where the one before ended.

    document: SHA-256 of the signed report; uses: {purpose: number} as declared; late: handed in after it was due.
    differences: [{purpose, declared, logged}] where the log tells another number.
    """

    __tablename__ = "use_report"

    document: str = Field(primary_key=True)
    agreement_id: str = Field(foreign_key="agreement.id", index=True)
    period_from: datetime = Field(sa_type=UtcDateTime)
    period_to: datetime = Field(sa_type=UtcDateTime)
    uses: dict[str, Any] = Field(sa_type=JsonColumn)
    differences: list[dict[str, Any]] = Field(sa_type=JsonColumn)
    late: bool
    accepted_at: datetime = Field(sa_type=UtcDateTime)
    entry_id: str


class DeletionCertificate(SQLModel, table=True):
    """The accepted certificate of deletion of an agreement.

    document: SHA-256 of the signed certificate; manifests: SHA-256 of the manifests of the deleted deliveries.
    """

    __tablename__ = "deletion_certificate"

    agreement_id: str = Field(primary_key=True, foreign_key="agreement.id")
    document: str
    manifests: list[str] = Field(sa_type=JsonColumn)
    method: str
    deleted_at: datetime = Field(sa_type=UtcDateTime)
    late: bool
    accepted_at: datetime = Field(sa_type=UtcDateTime)
    entry_id: str
