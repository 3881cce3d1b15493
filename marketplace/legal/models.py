"""Tables of legal assessment."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field, SQLModel

from marketplace.plumbing.db import UtcDateTime


class Opinion(SQLModel, table=True):
    """A law firm's assessment of one version.

    document: SHA-256 of the opinion document; root: the version root it is bound to.
    outcome: `PASS`, `CONDITIONAL` or `FAIL`; state: `drafted` until signed, then `signed`.
    """

    __tablename__ = "opinion"

    id: str = Field(primary_key=True)
    version_id: str = Field(foreign_key="version.id", index=True)
    firm_id: str = Field(foreign_key="participant.id")
    number: str
    root: str
    document: str
    outcome: str
    state: str = "drafted"
    drafted_at: datetime = Field(sa_type=UtcDateTime)  # type: ignore[call-overload]
    signed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # type: ignore[call-overload]
    expires_at: datetime = Field(sa_type=UtcDateTime)  # type: ignore[call-overload]


class OpinionCondition(SQLModel, table=True):
    """A condition of a CONDITIONAL opinion: who has to do what until when; missing it makes the opinion void."""

    __tablename__ = "opinion_condition"

    id: str = Field(primary_key=True)
    opinion_id: str = Field(foreign_key="opinion.id", index=True)
    item: int
    condition: str
    owner: str
    due_at: datetime = Field(sa_type=UtcDateTime)  # type: ignore[call-overload]
    met_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # type: ignore[call-overload]
