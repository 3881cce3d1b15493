"""What crosses HTTP about governance."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from marketplace.assets.schemas import PreparedDocument, Sha256
from marketplace.governance.declaration import Basis


class FaceDeclarationIn(BaseModel):
    """Why no face can be recognised in the head CT and MR images of a raw version."""

    model_config = ConfigDict(extra="forbid")

    basis: Basis = Field(examples=["defaced_before_collection"])


class FaceDeclarationOut(BaseModel):
    """A face declaration; it counts once it is signed."""

    version_id: str
    basis: Basis
    prepared: PreparedDocument
    signed_at: datetime | None


class GovernanceJobOut(BaseModel):
    """A job and how far it is.

    done: files judged, held_back: of these held back so far; prepared: the record to sign, when finished.
    """

    id: str
    asset_id: str
    raw_version_id: str
    governed_version_id: str | None
    state: str
    step: str
    total: int
    done: int
    held_back: int
    declaration: Sha256 | None
    failure: str | None
    metered: int = Field(description="Studies charged.")
    prepared: PreparedDocument | None
    asked_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class HeldBackFile(BaseModel):
    """A file that was not governed, by the hash of its raw bytes.  tag: where a leak was found, never the value."""

    model_config = ConfigDict(from_attributes=True)

    position: int
    raw: Sha256
    reason: str
    tag: str | None


class HeldBackPage(BaseModel):
    """Held-back files in manifest order.  next: cursor of the next page, null on the last."""

    items: list[HeldBackFile]
    next: str | None
