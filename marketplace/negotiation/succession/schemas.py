"""What crosses HTTP about acts, successors and assignments."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from marketplace.assets.schemas import Sha256
from marketplace.exchange.pricing import PricePlan
from marketplace.negotiation.rounds.schemas import Office
from marketplace.negotiation.schemas import DifferenceOut, ReasonCode, SignatureOut
from marketplace.plumbing.moments import Moment

CONSENT = "Consent is a new negotiation: the assignee asks for access itself and signs its own agreement."


class AssignmentIn(BaseModel):
    """A buyer asks to assign its agreement.  assignee: id of another buyer."""

    model_config = ConfigDict(extra="forbid")

    assignee: str = Field(min_length=1, max_length=80)


class AssignmentOut(BaseModel):
    """An asked assignment.  by: `terms` or `provider`, who refused; act: the provider's signed act; consent: how it
    would be given."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    agreement_id: str
    assignee_id: str
    state: str
    by: str
    reason: str
    act: str | None
    asked_at: datetime
    answered_at: datetime | None
    consent: str = CONSENT


class ActOut(BaseModel):
    """An act on an agreement; its exact bytes are at /v1/documents/{document}; sign_as: JWS header `typ` to sign them.

    number: its place in the chain, null while it has no effect; previous: SHA-256 of the act before it, or of the
    agreement's document.
    """

    model_config = ConfigDict(from_attributes=True)

    document: str
    agreement_id: str
    number: int | None
    previous: str
    kind: str
    side: str
    party: str
    reason: str
    state: str
    sign_as: str = "agreement-act+jws"
    text: dict[str, dict[str, str]]
    made_at: datetime
    signed_at: datetime | None
    signature: SignatureOut | None


class SuccessorIn(BaseModel):
    """What shall be otherwise; whatever is left out stays as in the predecessor.

    parameters: of the template, those that change; ends_at: the last moment of use; a renewal without it lasts as
    long as the term of the offer.  reason: a code; note: words for the other side, without personal data.
    """

    model_config = ConfigDict(extra="forbid")

    parameters: dict[str, Any] = Field(default_factory=dict, examples=[{"max_uses": 10}])
    price_plan: PricePlan | None = None
    ends_at: Moment | None = None
    reason: ReasonCode = Field(examples=["more_uses_needed"])
    note: str = Field(default="", max_length=1000)


class SuccessorReviewIn(BaseModel):
    """A person approves a successor for an office of the provider.  document: the one that was read."""

    model_config = ConfigDict(extra="forbid")

    office: Office = Field(examples=["data_protection"])
    document: Sha256


class SuccessorReviewOut(BaseModel):
    """How far the approvals of a successor have come.  missing: office -> approvals that are still needed."""

    document: Sha256
    approved: list[str]
    missing: dict[str, int]


class SuccessorOut(BaseModel):
    """A successor of an agreement; itself an agreement with this id, signed like one."""

    model_config = ConfigDict(from_attributes=True)

    agreement_id: str
    predecessor_id: str
    previous: str
    kind: str
    side: str
    proposed_by: str
    reason: str
    state: str
    document: str
    changes: list[DifferenceOut]
    signatures: list[SignatureOut]
    proposed_at: datetime
    expires_at: datetime
    answered_at: datetime | None


class SuccessionOut(BaseModel):
    """What followed a signed agreement: its acts in order, what waits for a signature, successors, assignments.

    head: SHA-256 that the next act names as the one before; follows: the agreement whose place this one took.
    """

    agreement_id: str
    agreement_document: str
    state: str
    head: str
    acts: list[ActOut]
    prepared: list[ActOut]
    follows: SuccessorOut | None
    successors: list[SuccessorOut]
    assignments: list[AssignmentOut]
