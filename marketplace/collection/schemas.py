"""What crosses HTTP about collection."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from marketplace.assets.schemas import PreparedDocument, Sha256, VersionOut
from marketplace.collection.rules import Reason

BatchLabel = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]


class SealRequest(BaseModel):
    """How the provider came by the data.  It becomes part of the passport, which others read."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    source_statement: str = Field(
        default="Produced in the provider's own clinical care and exported by the provider.",
        min_length=1,
        max_length=1000,
        description="No personal data: this text is shown with the passport.",
    )


FileName = Annotated[str, StringConstraints(min_length=1, max_length=300)]


class ConsentWithdrawalIn(BaseModel):
    """Files whose persons withdrew consent.  Never a name: the provider keeps who it was in a record of its own."""

    model_config = ConfigDict(extra="forbid")

    files: list[FileName] = Field(min_length=1, max_length=10_000, description="SHA-256 or path in this version.")
    reference: Sha256 = Field(description="SHA-256 of the provider's own record of the withdrawal.")


class ConsentWithdrawalOut(BaseModel):
    """What followed.  files: withdrawals that are new; versions: those that are used no more; entry: in the log."""

    model_config = ConfigDict(from_attributes=True)

    files: int
    versions: list[str]
    entry: str | None


class VerdictOut(BaseModel):
    """What became of one member of a tar.  position: from 0 in the tar, folders counted; reason: null if accepted."""

    position: int
    sha256: str = Field(description="Empty for a member that was not stored.")
    bytes: int
    accepted: bool
    reason: Reason | None = Field(examples=["broken"])


class BatchOut(BaseModel):
    """The verdicts on one tar in its order, so that the sender can put its own file names beside them."""

    version_id: str
    batch: str
    accepted: int
    left_out: int
    files: list[VerdictOut]


class SealedOut(BaseModel):
    """A sealed version and its record, ready for signature.  left_out: count by reason."""

    version: VersionOut
    document: PreparedDocument
    left_out: dict[str, int] = Field(examples=[{"broken": 1, "not_dicom": 2}])


class CollectedFileOut(BaseModel):
    """One file of a version."""

    model_config = ConfigDict(from_attributes=True)

    position: int
    path: str
    sha256: str
    bytes: int
    study: str
    modality: str


class FilePage(BaseModel):
    """Files in manifest order.  next: cursor of the next page, null on the last."""

    items: list[CollectedFileOut]
    next: str | None


class LeftOutFile(BaseModel):
    """A file that is not in the version.  label: start of the hash and a known ending, never the sender's name."""

    model_config = ConfigDict(from_attributes=True)

    batch: str
    position: int
    label: str
    sha256: str
    bytes: int
    reason: Reason


class LeftOutPage(BaseModel):
    """Left-out files in order of (batch, position).  next: cursor of the next page, null on the last."""

    items: list[LeftOutFile]
    next: str | None
