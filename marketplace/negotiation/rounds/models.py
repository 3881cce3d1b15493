"""Tables of the rounds of a negotiation."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from marketplace.plumbing.db import JsonColumn, UtcDateTime


class Proposal(SQLModel, table=True):
    """The terms that one side put on the table; the highest round is what lies there now.

    document: SHA-256 of the canonical proposal, readable by both sides; by: `buyer` or `provider`.
    starts_at: None = when the agreement is drafted.
    """

    __tablename__ = "proposal"
    __table_args__ = (UniqueConstraint("request_id", "round"),)

    document: str = Field(primary_key=True)
    request_id: str = Field(foreign_key="access_request.id", index=True)
    round: int
    by: str
    purpose: str
    parameters: dict[str, Any] = Field(sa_type=JsonColumn)
    price_plan: dict[str, Any] = Field(sa_type=JsonColumn)
    term_days: int
    starts_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    made_at: datetime = Field(sa_type=UtcDateTime)


class AnswerRule(SQLModel, table=True):
    """What a provider lets be answered by itself under a listing, and who of its own must approve everything else.

    document: SHA-256 of the canonical rule, readable by the provider.
    automatic: as `schemas.AutomaticIn`, None = never.
    reviews: [{office, approvals, persons: [commitments]}], persons empty = any person of the provider.
    """

    __tablename__ = "answer_rule"

    listing_id: str = Field(primary_key=True, foreign_key="listing.id")
    document: str
    automatic: dict[str, Any] | None = Field(default=None, sa_type=JsonColumn)
    reviews: list[dict[str, Any]] = Field(sa_type=JsonColumn)
    set_at: datetime = Field(sa_type=UtcDateTime)


class AcceptanceRule(SQLModel, table=True):
    """What a buyer lets be answered by itself of the offers made to it under a listing.

    document: SHA-256 of the canonical rule that the buyer signed, readable by it alone.
    automatic: as `schemas.AcceptableIn`, None = never.
    """

    __tablename__ = "acceptance_rule"

    buyer_id: str = Field(primary_key=True, foreign_key="participant.id")
    listing_id: str = Field(primary_key=True, foreign_key="listing.id")
    document: str
    automatic: dict[str, Any] | None = Field(default=None, sa_type=JsonColumn)
    set_at: datetime = Field(sa_type=UtcDateTime)


class ProposalReview(SQLModel, table=True):
    """A person of the provider approved terms for an office.  terms: SHA-256 of the terms; reviewer: a commitment."""

    __tablename__ = "proposal_review"

    request_id: str = Field(primary_key=True, foreign_key="access_request.id")
    terms: str = Field(primary_key=True)
    office: str = Field(primary_key=True)
    reviewer: str = Field(primary_key=True)
    approved_at: datetime = Field(sa_type=UtcDateTime)


class NegotiationReminder(SQLModel, table=True):
    """The side whose move it is was reminded of a deadline.  entry_id: of the entry that recorded it."""

    __tablename__ = "negotiation_reminder"

    request_id: str = Field(primary_key=True, foreign_key="access_request.id")
    deadline: datetime = Field(primary_key=True, sa_type=UtcDateTime)
    side: str
    reminded_at: datetime = Field(sa_type=UtcDateTime)
    entry_id: str
