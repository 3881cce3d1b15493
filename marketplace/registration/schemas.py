"""What crosses HTTP about registration."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from marketplace.assets.schemas import PreparedDocument, Sha256
from marketplace.plumbing.moments import Moment
from marketplace.registration.rules import CertificateState, RightKind, State

Note = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class RightIn(BaseModel):
    """One right asked for.  holder: empty means the applicant; consent: evidence hash of another holder's consent."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    kind: RightKind
    holder: str = Field(default="", max_length=64)
    until: Moment | None = None
    limits: str = Field(default="", max_length=400)
    consent: Sha256 | None = None


class LimitsIn(BaseModel):
    """Limits of circulation (annex 1)."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    buyer_type: str = Field(default="", max_length=200)
    qualification: str = Field(default="", max_length=200)
    environment: str = Field(default="", max_length=200)
    region: str = Field(default="CN", max_length=80)
    resale: bool = False
    export: bool = False


class WithheldIn(BaseModel):
    """What the applicant asks, with good reason, to leave out of the public notice (art. 24)."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    fields: list[Literal["overview", "limits"]] = Field(min_length=1, max_length=2)
    reason: Note


class FormIn(BaseModel):
    """The answers of annex 1 that the asset and its version do not already hold."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    origin: str = Field(max_length=40, description="Origin of the data, a row of article 21.", examples=["producer"])
    medium: Literal["image", "text", "video", "audio", "table"] = "image"
    structure: Literal["structured", "semi_structured", "unstructured"] = "unstructured"
    limits: LimitsIn = Field(default_factory=LimitsIn)
    substitutes: bool = Field(default=False, description="A scraped product replaces the source's own.")
    contract: Sha256 | None = Field(default=None, description="Evidence: contract that grants a processor the right.")
    government_agency: bool = False
    public_operation: bool = False
    public_code: str | None = Field(default=None, max_length=80)
    withheld: WithheldIn | None = None


class ApplicationIn(BaseModel):
    """An initial registration.  years: asked validity, at most five."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    version: Id
    registrar: Id
    rights: list[RightIn] = Field(min_length=1, max_length=32)
    form: FormIn
    years: int = Field(default=5, ge=1, le=5)


class ReasonIn(BaseModel):
    """Why."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    reason: Note


class RefusalIn(BaseModel):
    """A refusal names its ground (art. 22)."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    ground: Literal["harm_to_rights", "illegal_source", "unresolved_dispute", "false_proof", "other_law"]
    reason: Note


class ReviewIn(BaseModel):
    """The registrar's review (art. 18): accuracy of the description, legality of the source, clarity of the rights."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    accuracy: Note
    legality: Note
    clarity: Note


class ObjectionIn(BaseModel):
    """An objection during the notice.  evidence: hashes, optional."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    grounds: Note
    evidence: list[Sha256] = Field(default_factory=list, max_length=16)


class SettlementIn(BaseModel):
    """The registrar's ruling; an upheld objection refuses the application."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    upheld: bool
    ruling: Note


class ObjectionOut(BaseModel):
    """An objection and what became of it."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    application_id: str
    objector_id: str
    grounds: str
    evidence: list[Sha256]
    state: str
    ruling: str
    raised_at: datetime
    inquiry_until: datetime
    settled_at: datetime | None


class ApplicationOut(BaseModel):
    """An application with its clocks.  accept_by: silence until then means accepted; finish_by: None until accepted."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    asset_id: str
    version_id: str
    applicant_id: str
    registrar_id: str
    state: State
    document: Sha256
    filed_at: datetime
    accept_by: datetime
    accepted_at: datetime | None
    finish_by: datetime | None
    notice_document: Sha256 | None
    notice_from: datetime | None
    notice_until: datetime | None
    certificate_code: str | None
    certificate_document: Sha256 | None
    reason: str
    objections: list[ObjectionOut]


class ApplicationPage(BaseModel):
    """Applications.  next: cursor of the next page, null on the last."""

    items: list[ApplicationOut]
    next: str | None


class PreparedCertificate(BaseModel):
    """A certificate ready for the registrar's signature."""

    code: str
    valid_until: datetime
    prepared: PreparedDocument


class NoticeOut(BaseModel):
    """A running public notice; withheld fields are None."""

    application_id: str
    registrar: str
    applicant: str
    data_name: str
    overview: str | None
    limits: LimitsIn | None
    rights: list[dict[str, str]]
    notice_from: datetime
    notice_until: datetime
    document: Sha256


class PublicNoticePage(BaseModel):
    """Running public notices, the earliest end first.  next: cursor of the next page, null on the last."""

    items: list[NoticeOut]
    next: str | None


class CertifiedRight(BaseModel):
    """A right as the certificate states it."""

    kind: RightKind
    holder: str
    name: str
    credit_code: str
    starts_at: datetime
    ends_at: datetime
    limits: str


class CertificateSignature(BaseModel):
    """The registrar's detached JWS over the document, with the public key's id."""

    model_config = ConfigDict(from_attributes=True)

    signer: str
    kid: str
    alg: str
    jws: str


class CertificateOut(BaseModel):
    """A certificate as anyone may check it.  state: computed at this moment."""

    code: str
    state: CertificateState
    state_at: datetime
    checked_at: datetime
    registrar_id: str
    registrar: str
    asset_id: str
    asset_name: str
    version_id: str
    root: str
    document: Sha256
    rights: list[CertifiedRight]
    issued_at: datetime
    valid_until: datetime
    renewable_from: datetime
    signatures: list[CertificateSignature]
