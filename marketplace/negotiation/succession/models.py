"""Tables of the acts on agreements, of their successors, and of asked assignments."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from marketplace.plumbing.db import UtcDateTime


class AgreementAct(SQLModel, table=True):
    """A side's declaration about a signed agreement; states are in `succession.rules`.

    document: SHA-256 of the act, which the side signs; previous: of the act before it, or of the agreement's document.
    number: its place among the acts in effect, counted from 1, None while it has no effect; so the chain is linear.
    kind, side, reason: as the document says; entry_id: of the entry that told of it first.
    """

    __tablename__ = "agreement_act"
    __table_args__ = (UniqueConstraint("agreement_id", "number"),)

    document: str = Field(primary_key=True)
    agreement_id: str = Field(foreign_key="agreement.id", index=True)
    number: int | None = None
    previous: str
    kind: str
    side: str
    party: str = Field(foreign_key="participant.id")
    reason: str
    state: str
    made_at: datetime = Field(sa_type=UtcDateTime)
    signed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    chased_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    entry_id: str = ""


class AgreementSuccessor(SQLModel, table=True):
    """A proposed successor of an agreement, by the id of its own draft; kinds and states are in `succession.rules`.

    previous: SHA-256 of the predecessor's latest act when it was proposed, or of its document.
    reason: a code, why it was proposed, later why it was refused or returned.
    expires_at: signed by both, or corrected once it was returned, before then; reminded_of: the deadline of which who
    has to move was reminded.
    """

    __tablename__ = "agreement_successor"

    agreement_id: str = Field(primary_key=True, foreign_key="agreement.id")
    predecessor_id: str = Field(foreign_key="agreement.id", index=True)
    previous: str
    kind: str
    side: str
    proposed_by: str = Field(foreign_key="participant.id")
    reason: str
    state: str
    proposed_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    answered_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    reminded_of: datetime | None = Field(default=None, sa_type=UtcDateTime)


class SuccessorReview(SQLModel, table=True):
    """A person of the provider approved a proposed successor for an office, before the provider signs it.

    document: SHA-256 of the successor's document, so that nothing else is approved by it; reviewer: a commitment.
    """

    __tablename__ = "successor_review"

    document: str = Field(primary_key=True)
    office: str = Field(primary_key=True)
    reviewer: str = Field(primary_key=True)
    agreement_id: str = Field(foreign_key="agreement.id", index=True)
    approved_at: datetime = Field(sa_type=UtcDateTime)


class AgreementAssignment(SQLModel, table=True):
    """A buyer's question whether it may assign an agreement to another participant.

    state: `asked` or `refused`; by: `terms` where they prohibit it, `provider` after its signed act; act: that act.
    """

    __tablename__ = "agreement_assignment"
    __table_args__ = (UniqueConstraint("agreement_id", "assignee_id"),)

    id: str = Field(primary_key=True)
    agreement_id: str = Field(foreign_key="agreement.id", index=True)
    assignee_id: str = Field(foreign_key="participant.id")
    state: str
    by: str = ""
    reason: str = ""
    act: str | None = None
    asked_at: datetime = Field(sa_type=UtcDateTime)
    answered_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
