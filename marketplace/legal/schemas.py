"""What crosses HTTP about legal assessment."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from marketplace.assets.schemas import EvidenceItem, PreparedDocument, Sha256
from marketplace.legal.rules import LAWYERS, Finding, Result
from marketplace.plumbing.moments import Moment

EVIDENCE_LIMIT = 1 << 20
Line = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class EvidenceIn(BaseModel):
    """A small file that findings may cite.  Exactly one of `text` (UTF-8) and `base64`; at most 1 MiB."""

    model_config = ConfigDict(extra="forbid")

    asset: str = Field(max_length=64)
    kind: str = Field(max_length=40, description="A kind named by the checklist.", examples=["ethics_approval"])
    title: str = Field(min_length=1, max_length=200)
    media_type: str = Field(default="text/plain; charset=utf-8", pattern=r"^[\w.+-]+/[\w.+-]+(; ?[\w-]+=[\w.-]+)?$")
    text: str | None = Field(default=None, max_length=EVIDENCE_LIMIT)
    base64: str | None = Field(default=None, max_length=EVIDENCE_LIMIT * 4 // 3 + 4)

    @model_validator(mode="after")
    def _one_form(self) -> EvidenceIn:
        if (self.text is None) == (self.base64 is None):
            raise ValueError("send exactly one of text and base64")
        return self


class EvidenceOut(BaseModel):
    """A kept file."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    asset_id: str
    sha256: Sha256
    kind: str
    title: str
    owner_id: str
    media_type: str
    bytes: int
    added_at: datetime


class LawyerIn(BaseModel):
    """A lawyer who answers for the opinion; stands in the signed document only."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: Line
    licence: Line


class FindingIn(BaseModel):
    """The answer to one item of the checklist.

    evidence: SHA-256 names from `GET /v1/versions/{id}/evidence`; an open item names condition, owner and due.
    """

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    item: int = Field(ge=1, le=99)
    result: Result
    note: str = Field(default="", max_length=2000)
    evidence: list[Sha256] = Field(default_factory=list, max_length=32)
    condition: str = Field(default="", max_length=1000)
    owner: str = Field(default="", max_length=64, description="Participant id of who must meet the condition.")
    due: Moment | None = None

    def finding(self) -> Finding:
        """The same answer as a value of the rules."""
        return Finding(
            item=self.item,
            result=self.result,
            note=self.note,
            evidence=tuple(self.evidence),
            condition=self.condition,
            owner=self.owner,
            due=self.due,
        )


class OpinionIn(BaseModel):
    """A law firm's assessment before signature.

    carried_from: id of an earlier PASS opinion on the same asset; then only the items a new version reopens must be
    answered, the others are taken over and marked.
    """

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    number: Line
    lawyers: list[LawyerIn] = Field(min_length=LAWYERS, max_length=LAWYERS)
    findings: list[FindingIn] = Field(max_length=99)
    reservations: list[Annotated[str, StringConstraints(min_length=1, max_length=1000)]] = Field(
        default_factory=list, max_length=32
    )
    expires_at: Moment | None = Field(default=None, description="At most and by default twelve months on.")
    carried_from: str | None = Field(default=None, max_length=64)


class ConditionMet(BaseModel):
    """The firm's statement that a condition is met.  evidence: hash of a file kept for the asset."""

    model_config = ConfigDict(extra="forbid")

    evidence: Sha256


class ConditionOut(BaseModel):
    """A condition and whether it was met."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    item: int
    condition: str
    owner: str
    due_at: datetime
    met_at: datetime | None
    proof: Sha256 | None


class OpinionOut(BaseModel):
    """An opinion as the API shows it.  valid: whether the version rests on it at this moment."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    version_id: str
    firm_id: str
    number: str
    root: str
    document: Sha256
    outcome: str
    law_profile: str
    state: str
    carried_from: str | None
    drafted_at: datetime
    signed_at: datetime | None
    expires_at: datetime
    conditions: list[ConditionOut]
    valid: bool


class DraftedOpinion(BaseModel):
    """A drafted opinion and the document to sign."""

    id: str
    outcome: str
    prepared: PreparedDocument


class ChecklistOut(BaseModel):
    """The checklist in force with the hash of its file.  content: as published in `contracts/legal`."""

    id: str
    sha256: Sha256
    reopened_by_delta: list[int]
    content: dict[str, Any]


class CitableEvidence(BaseModel):
    """What findings on a version may cite."""

    items: list[EvidenceItem]
