"""What crosses HTTP about assets."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Day = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class AssetRegistration(BaseModel):
    """The registration form; limits follow annex 1 of the 2026 guideline."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: str = Field(min_length=4, max_length=40, examples=["2024华东胸部CT影像数据集"])
    name_en: str = Field(min_length=4, max_length=160, examples=["East China chest CT imaging set 2024"])
    overview: str = Field(min_length=1, max_length=400)
    overview_en: str = Field(min_length=1, max_length=1200)
    industry: str = Field(default="Q84", description="GB/T 4754 section and division.", max_length=8)
    source_kind: Literal["self_collected", "by_agreement", "scraped_public", "derived"] = "self_collected"
    region: str = Field(max_length=80)
    time_from: Day
    time_to: Day
    update_frequency: Literal["day", "week", "month", "year", "on_demand", "real_time", "other"] = "on_demand"
    modality: str = Field(max_length=16, examples=["CT"])
    body_part: str = Field(max_length=64, examples=["CHEST"])
    keywords: list[Annotated[str, StringConstraints(min_length=1, max_length=40)]] = Field(
        default_factory=list, max_length=24
    )
    department: str = Field(default="", max_length=80)
    contains_genomic: bool = False
    is_example: bool = False


class EvidenceItem(BaseModel):
    """A typed, hashed document or machine result.  sha256: hash of its exact bytes."""

    model_config = ConfigDict(extra="forbid")

    kind: str = Field(max_length=40)
    sha256: Sha256
    title: str = Field(default="", max_length=200)


class SignatureIn(BaseModel):
    """A detached JWS (RFC 7797) made with the party's own key over the exact bytes of a prepared document."""

    model_config = ConfigDict(extra="forbid")

    document: Sha256 = Field(description="SHA-256 of the prepared document that was signed.")
    jws: str = Field(max_length=4096)


class PreparedDocument(BaseModel):
    """A document ready for signature; fetch its exact bytes at /v1/documents/{sha256}."""

    kind: str
    sha256: Sha256
    sign_as: str = Field(description="JWS header `typ` to sign with.")


class WhyStopped(BaseModel):
    """Why a version is suspended, resumed or retired.  reason: a code of the caller's own, which enters the log."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{2,63}$")] = Field(examples=["data_incident"])


class AssetOut(BaseModel):
    """An asset as the API shows it."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    provider_id: str
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
    keywords: list[str]
    department: str
    contains_genomic: bool
    is_example: bool
    registered_at: datetime


class AssetPage(BaseModel):
    """Assets.  next: cursor of the next page, null on the last."""

    items: list[AssetOut]
    next: str | None


class VersionOut(BaseModel):
    """A version as the API shows it.  stop_reason: while suspended or retired, the code that refuses its uses."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    asset_id: str
    number: int
    kind: str
    parent_id: str | None
    stage: str
    stop_reason: str
    root: str
    manifest: str
    files: int
    bytes: int
    records: int
    left_out: int
    created_at: datetime
    sealed_at: datetime | None


class StageRecordOut(BaseModel):
    """One line of a passport."""

    model_config = ConfigDict(from_attributes=True)

    stage: str
    signer: str
    kid: str
    alg: str
    jws: str
    document: str
    evidence: list[EvidenceItem]
    outcome: str
    recorded_at: datetime
    entry_id: str
