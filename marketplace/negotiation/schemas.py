"""What crosses HTTP about requests and agreements."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from marketplace.assets.schemas import EvidenceItem
from marketplace.negotiation.rounds.schemas import TermsIn, WordsOut
from marketplace.plumbing.moments import Moment

ReasonCode = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{2,63}$")]
Justification = Annotated[str, StringConstraints(min_length=1, max_length=4000, strip_whitespace=True)]


class RequestIn(BaseModel):
    """A buyer asks for access under a listing.  justification: without personal data; evidence: by hash."""

    model_config = ConfigDict(extra="forbid")

    listing: str = Field(max_length=80, description="Id of a visible listing.")
    purpose: str = Field(max_length=40, examples=["model_training"])
    justification: Justification
    evidence: list[EvidenceItem] = Field(default_factory=list, max_length=20)
    terms: TermsIn = Field(default_factory=TermsIn, description="What you propose; left out: as listed.")


class ResubmissionIn(BaseModel):
    """The completed request."""

    model_config = ConfigDict(extra="forbid")

    justification: Justification
    evidence: list[EvidenceItem] = Field(default_factory=list, max_length=20)


class ApprovalIn(BaseModel):
    """The provider's yes.  starts_at: when the term begins, within 90 days; left out: now."""

    model_config = ConfigDict(extra="forbid")

    starts_at: Moment | None = None


class WhyIn(BaseModel):
    """Why.  reason: a code; note: words for the other side, without personal data."""

    model_config = ConfigDict(extra="forbid")

    reason: ReasonCode = Field(examples=["ethics_approval_missing"])
    note: str = Field(default="", max_length=1000)


class RequestOut(BaseModel):
    """An access request as its two parties see it.

    round: of what lies on the table, 0 for a request from before there were rounds; reason, reason_words: why it stands
    where it does; next: whose move it is, before expires_at.
    """

    id: str
    listing_id: str
    offer_id: str
    buyer_id: str
    provider_id: str
    state: str
    purpose: str
    justification: str
    evidence: list[EvidenceItem]
    round: int
    reason: str
    reason_words: WordsOut | None
    note: str
    next: Literal["buyer", "provider", "service"] | None
    asked_at: datetime
    answered_at: datetime | None
    expires_at: datetime
    agreement_id: str | None


class RequestPage(BaseModel):
    """Access requests.  next: cursor of the next page, null on the last."""

    items: list[RequestOut]
    next: str | None


class SignatureOut(BaseModel):
    """An accepted signature with the public key that checked it."""

    model_config = ConfigDict(from_attributes=True)

    signer: str
    kid: str
    alg: str
    typ: str
    jws: str
    jwk: dict[str, Any]
    signed_at: datetime


class UnsignedAct(BaseModel):
    """An act that its party has still to sign (typ `agreement-act+jws`): a stop is in effect, anything else waits."""

    model_config = ConfigDict(from_attributes=True)

    document: str
    kind: str
    party: str
    state: str


class AgreementOut(BaseModel):
    """An agreement; its exact bytes are at /v1/documents/{document}; sign_as: JWS header `typ` to sign them with.

    suspended_by: the side that may resume it, while suspended; unsigned_acts: what a side has declared and not signed.
    """

    id: str
    request_id: str
    provider_id: str
    buyer_id: str
    asset_id: str
    version_id: str
    listing_id: str
    certificate_code: str
    state: str
    negotiation: str
    reason: str
    suspended_by: str
    document: str
    sign_as: str = "agreement+jws"
    uses: dict[str, Any]
    price_plan: dict[str, Any]
    delivery_mode: str
    drafted_at: datetime
    starts_at: datetime
    ends_at: datetime
    finalized_at: datetime | None
    terminated_at: datetime | None
    signatures: list[SignatureOut]
    unsigned_acts: list[UnsignedAct]


class AgreementPage(BaseModel):
    """Agreements.  next: cursor of the next page, null on the last."""

    items: list[AgreementOut]
    next: str | None


class DifferenceOut(BaseModel):
    """One difference between two versions.  part: fact, parameter, term or clause; change: added, removed or changed;
    at: its name there; zh, en: in words."""

    model_config = ConfigDict(from_attributes=True)

    part: str
    change: str
    at: str
    zh: str
    en: str
