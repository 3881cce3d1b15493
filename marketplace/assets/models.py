"""Tables of assets: asset, immutable version, its files, its passport."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from marketplace.plumbing.db import JsonColumn, UtcDateTime


class Asset(SQLModel, table=True):
    """What is owned and sold.

    The fields follow annex 1 of the Data Property Rights Registration Work Guidelines (Trial), 国数综政策〔2026〕35号.
    """

    __tablename__ = "asset"
    __table_args__ = (Index("ix_asset_provider_registered", "provider_id", "registered_at", "id"),)

    id: str = Field(primary_key=True)
    provider_id: str = Field(foreign_key="participant.id")
    name: str
    name_en: str
    overview: str
    overview_en: str
    industry: str
    source_kind: str
    region: str
    time_from: str
    time_to: str
    update_frequency: str
    modality: str
    body_part: str
    keywords: list[str] = Field(sa_type=JsonColumn)
    department: str = ""
    contains_genomic: bool = False
    is_example: bool = False
    registered_at: datetime = Field(sa_type=UtcDateTime)


class Version(SQLModel, table=True):
    """An immutable content set.

    kind: `raw` or `governed`; parent_id: the raw version a governed one was made from.
    root: RFC 9162 Merkle tree hash over the manifest's files, hex; empty until sealed.
    manifest: SHA-256 of the manifest document in the object store.  records: studies (one study = one record).
    left_out: count of files left out; the reasons are in the manifest.
    stop_reason: while suspended or retired, the code that refuses its uses; stopped_by: who stopped it.
    """

    __tablename__ = "version"

    id: str = Field(primary_key=True)
    asset_id: str = Field(foreign_key="asset.id", index=True)
    number: int
    kind: str
    parent_id: str | None = Field(default=None, foreign_key="version.id")
    stage: str = "draft"
    stage_before: str | None = None
    stop_reason: str = ""
    stopped_by: str = ""
    root: str = ""
    manifest: str = ""
    files: int = 0
    bytes: int = Field(default=0, sa_type=BigInteger)
    records: int = 0
    left_out: int = 0
    created_at: datetime = Field(sa_type=UtcDateTime)
    sealed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class VersionFile(SQLModel, table=True):
    """One accepted file of a version, in manifest order (position from 0).

    path: `<study>/<series>/<instance>.dcm`, made by the service.  study: study instance UID, the record key.
    source: for a governed file, SHA-256 of the raw file it was made from.
    """

    __tablename__ = "version_file"

    version_id: str = Field(primary_key=True, foreign_key="version.id")
    position: int = Field(primary_key=True)
    path: str
    sha256: str
    bytes: int = Field(sa_type=BigInteger)
    study: str
    modality: str = ""
    source: str | None = None


class StageRecord(SQLModel, table=True):
    """One line of a version's passport: the stage's own signed document.

    document: SHA-256 of the canonical document bytes in `document`; it lists the evidence by hash.
    evidence: [{kind, sha256, title}]; outcome: e.g. `accepted`, `PASS`, `CONDITIONAL`.
    """

    __tablename__ = "stage_record"

    id: str = Field(primary_key=True)
    version_id: str = Field(foreign_key="version.id", index=True)
    stage: str
    signer: str = Field(foreign_key="participant.id")
    kid: str
    alg: str
    jws: str
    document: str
    evidence: list[dict[str, Any]] = Field(sa_type=JsonColumn)
    outcome: str
    recorded_at: datetime = Field(sa_type=UtcDateTime)
    entry_id: str
