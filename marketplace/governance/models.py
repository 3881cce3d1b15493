"""Tables of governance: the job, what became of each file, the asset's key, the face declaration."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from marketplace.plumbing.db import JsonColumn, UtcDateTime


class GovernanceJob(SQLModel, table=True):
    """One run of de-identification and quality over a raw version.

    state: see `rules.JOB`; step: what it is at, in a word; total: files to judge; batches: outbox rows for them.
    secret_id: the asset key in use; declaration: SHA-256 of the signed face declaration, if any.
    document: SHA-256 of the prepared governance record; failure: reason code; metered: studies charged.
    """

    __tablename__ = "governance_job"

    id: str = Field(primary_key=True)
    asset_id: str = Field(foreign_key="asset.id", index=True)
    raw_version_id: str = Field(foreign_key="version.id", index=True)
    governed_version_id: str | None = Field(default=None, foreign_key="version.id", index=True)
    state: str
    step: str
    total: int
    batches: int
    secret_id: str = Field(foreign_key="asset_secret.asset_id")
    declaration: str | None = None
    profile: str
    document: str | None = None
    failure: str | None = None
    metered: int = 0
    asked_at: datetime = Field(sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class GovernedFile(SQLModel, table=True):
    """What became of one raw file in one job; position: its place in the raw manifest.

    outcome: `governed` or `held_back`; reason: code; tag: element a leak was found in.  facts, actions: as counted.
    """

    __tablename__ = "governed_file"

    job_id: str = Field(primary_key=True, foreign_key="governance_job.id")
    position: int = Field(primary_key=True)
    raw: str
    outcome: str
    reason: str | None = None
    tag: str | None = None
    output: str | None = None
    bytes: int = Field(default=0, sa_type=BigInteger)
    path: str = ""
    study: str = ""
    pixels: str = ""
    facts: dict[str, Any] | None = Field(default=None, sa_type=JsonColumn)
    actions: dict[str, int] = Field(sa_type=JsonColumn)


class AssetSecret(SQLModel, table=True):
    """The asset's 32 random bytes for pseudonyms and date shifts; never exported, never in an entry or document."""

    __tablename__ = "asset_secret"

    asset_id: str = Field(primary_key=True, foreign_key="asset.id")
    secret: bytes = Field(repr=False)


class FaceDeclaration(SQLModel, table=True):
    """A provider's statement about recognisable faces in a raw version; it counts once it is signed."""

    __tablename__ = "face_declaration"

    document: str = Field(primary_key=True, foreign_key="document.sha256")
    version_id: str = Field(foreign_key="version.id", index=True)
    basis: str
    prepared_at: datetime = Field(sa_type=UtcDateTime)
    signed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
