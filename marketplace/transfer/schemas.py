"""What crosses HTTP about transfers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from marketplace.assets.schemas import Sha256


class ManifestSignature(BaseModel):
    """A detached JWS over the manifest's exact bytes, with the public key that checks it."""

    model_config = ConfigDict(from_attributes=True)

    signer: str
    kid: str
    alg: str
    jws: str
    jwk: dict[str, Any]
    signed_at: datetime


class ManifestOut(BaseModel):
    """The delivery manifest; its exact bytes are at /v1/documents/{sha256}."""

    sha256: Sha256
    content: dict[str, Any]
    signatures: list[ManifestSignature]


class TransferOut(BaseModel):
    """One use of an agreement, as its parties and auditors see it."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    agreement_id: str
    party: str
    purpose: str
    action: str
    path: str = Field(description="Empty for the tar of all files.")
    sha256: str = Field(description="Of the whole tar or file.")
    size: int
    state: str
    outcome: str
    leg: int
    served: int = Field(description="Bytes settled over all legs.")
    uses: int = Field(description="Uses counted: 0 or 1.")
    opened_at: datetime
    closed_at: datetime | None
    entry_id: str
