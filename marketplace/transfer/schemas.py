"""What crosses HTTP about transfers."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

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


class TransferPage(BaseModel):
    """Uses of an agreement.  next: cursor of the next page, null on the last."""

    items: list[TransferOut]
    next: str | None


class StopNoticeOut(BaseModel):
    """What both parties of an agreement are told: after a stop, of a duty of the buyer that is due, of what followed;
    or a side of a negotiation of its deadline.

    stopped_by: a participant's id, or `service`: who did it or has to; only a stop notice tells that something stopped.
    agreement_id: null where a negotiation has none yet.
    """

    model_config = ConfigDict(from_attributes=True)

    id: str
    kind: str = Field(
        description="`stop-notice`, `duty-notice`, `contract-notice`, `negotiation-notice` or `payment-notice`."
    )
    agreement_id: str | None
    reason: str = Field(description="Why; after a stop a later request is refused with the same code.")
    stopped_by: str
    stopped_at: datetime = Field(description="When it happened.")
    stop_entry: str = Field(description="Id of the log entry of the stop, or of the duty's step.")
    document: Sha256 = Field(description="Of the signed notice, whose exact bytes are at /v1/documents/{sha256}.")
    made_at: datetime


class NoticePage(BaseModel):
    """Notices, the latest first.  next: cursor of the next page, null on the last."""

    items: list[StopNoticeOut]
    next: str | None


class NoticePush(BaseModel):
    """How sending to the caller's address goes; last_error: of the latest attempt that failed."""

    state: Literal["waiting", "acknowledged", "given_up", "not_sent"]
    attempts: int
    last_error: str | None
    acknowledged_at: datetime | None


class StopNoticeDetail(StopNoticeOut):
    """A notice with its content and signature.  push: null where the caller had no address for it."""

    content: dict[str, Any]
    signatures: list[ManifestSignature]
    push: NoticePush | None


class NoticeAddressIn(BaseModel):
    """Where notices are to be sent: https, a public host name, an allowed port."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(max_length=2000, examples=["https://connector.example/notices"])


class NoticeAddressOut(BaseModel):
    """Where notices are sent."""

    model_config = ConfigDict(from_attributes=True)

    url: str
    set_at: datetime


class DecisionOut(BaseModel):
    """A use would be allowed at this moment.  obligations: ODRL duties on what would leave; revision: of the policies
    that decided; entry: id of the entry that records the question."""

    allow: Literal[True]
    obligations: list[dict[str, Any]]
    revision: str
    entry: str
