"""Tables of legal assessment."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, UniqueConstraint
from sqlmodel import Field, SQLModel

from marketplace.plumbing.db import UtcDateTime


class Evidence(SQLModel, table=True):
    """A typed file that findings may cite, by the SHA-256 of its exact bytes in the object store.

    kind: a kind that the checklist names; owner_id: who sent it.
    """

    __tablename__ = "evidence"
    __table_args__ = (UniqueConstraint("asset_id", "sha256"),)

    id: str = Field(primary_key=True)
    asset_id: str = Field(foreign_key="asset.id", index=True)
    sha256: str = Field(index=True)
    kind: str
    title: str
    owner_id: str = Field(foreign_key="participant.id")
    media_type: str
    bytes: int = Field(sa_type=BigInteger)
    added_at: datetime = Field(sa_type=UtcDateTime)


class Opinion(SQLModel, table=True):
    """A law firm's assessment of one version.

    document: SHA-256 of the opinion document; root: the version root it is bound to.
    outcome: `PASS`, `CONDITIONAL` or `FAIL`; state: `drafted` until signed, then `signed`.
    law_profile: the rules it was written under; under other rules it is stale.
    """

    __tablename__ = "opinion"

    id: str = Field(primary_key=True)
    version_id: str = Field(foreign_key="version.id", index=True)
    firm_id: str = Field(foreign_key="participant.id", index=True)
    number: str
    root: str
    document: str
    outcome: str
    law_profile: str
    state: str = "drafted"
    carried_from: str | None = Field(default=None, foreign_key="opinion.id")
    drafted_at: datetime = Field(sa_type=UtcDateTime)
    signed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)


class OpinionCondition(SQLModel, table=True):
    """A condition of a CONDITIONAL opinion: who has to do what until when; missing it makes the opinion void.

    proof: SHA-256 of the evidence that it was met.
    """

    __tablename__ = "opinion_condition"

    id: str = Field(primary_key=True)
    opinion_id: str = Field(foreign_key="opinion.id", index=True)
    item: int
    condition: str
    owner: str
    due_at: datetime = Field(sa_type=UtcDateTime, index=True)
    met_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    proof: str | None = None
