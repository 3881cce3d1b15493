"""What crosses HTTP about the rounds of a negotiation."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from marketplace.assets.schemas import Sha256
from marketplace.exchange.pricing import PricePlan
from marketplace.participants.schemas import ParticipantKind
from marketplace.plumbing.moments import Moment

Purpose = Annotated[str, StringConstraints(min_length=1, max_length=40)]
# A closed list: an office stands in entries, where a code of the caller's own might be a person's name.
Office = Literal[
    "data_protection", "ethics_committee", "finance", "information_security", "legal", "management", "medical_board"
]
PersonName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Fen = Annotated[int, Field(ge=0, le=10**13, strict=True)]


class _Signed(BaseModel):
    """Part of a document whose canonical bytes a party signs: one spelling for each value."""

    model_config = ConfigDict(extra="forbid", strict=True)


class TermsIn(BaseModel):
    """Terms within the listing's template; what is left out stays as it lies on the table.

    starts_at: within 90 days; never named by either side: when the agreement is drafted.
    """

    model_config = ConfigDict(extra="forbid")

    purpose: Purpose | None = Field(default=None, examples=["model_training"])
    parameters: dict[str, Any] | None = Field(
        default=None,
        description="All parameters, as the template's schema at GET /v1/terms says.",
        examples=[
            {
                "purposes": ["model_training"],
                "max_uses": 10,
                "max_bytes": "1000000000",
                "deletion_days": 30,
                "report_days": 90,
            }
        ],
    )
    price_plan: PricePlan | None = Field(default=None, examples=[{"kind": "one_off", "price_fen": 4000000}])
    term_days: int | None = Field(default=None, ge=1, le=1826)
    starts_at: Moment | None = None


class DirectOfferIn(BaseModel):
    """A provider offers without having been asked.  terms: left out: those of the listing."""

    model_config = ConfigDict(extra="forbid")

    listing: str = Field(max_length=80, description="Id of a visible listing of your own.")
    buyer: str = Field(min_length=3, max_length=80)
    purpose: Purpose = Field(examples=["model_training"])
    terms: TermsIn = Field(default_factory=TermsIn)


class AcceptanceIn(BaseModel):
    """The buyer's yes.  document: the agreement that was offered, so that nobody accepts another one."""

    model_config = ConfigDict(extra="forbid")

    document: Sha256


class ReviewIn(BaseModel):
    """A person approves terms for an office of the provider.  terms: as they would be offered."""

    model_config = ConfigDict(extra="forbid")

    office: Office = Field(examples=["data_protection"])
    terms: TermsIn = Field(default_factory=TermsIn)


class AutomaticIn(BaseModel):
    """What is offered as asked without a person: every condition must hold.

    price_not_below_fen: price of access; price_per_use_not_below_fen: of each use; whatever else the price plan says is
    as listed; rounds_at_most: a later round is for people; terms_unchanged: parameters and term are as listed too.
    """

    model_config = ConfigDict(extra="forbid")

    purposes: list[Purpose] = Field(min_length=1, max_length=40)
    buyer_kinds: list[ParticipantKind] = Field(min_length=1, max_length=20, examples=[["pharma"]])
    price_not_below_fen: Fen
    price_per_use_not_below_fen: Fen = 0
    terms_unchanged: bool = True
    rounds_at_most: int = Field(default=1, ge=1, le=20, strict=True)


class OfficeIn(BaseModel):
    """An office whose approval an offer needs.  persons: who speaks for it, by your own names; empty: anybody."""

    model_config = ConfigDict(extra="forbid")

    office: Office = Field(examples=["data_protection"])
    approvals: int = Field(default=1, ge=1, le=10, strict=True)
    persons: list[PersonName] = Field(default_factory=list, max_length=20)


class AnswerRuleIn(BaseModel):
    """How requests under a listing are answered.  automatic: null: always by people."""

    model_config = ConfigDict(extra="forbid")

    automatic: AutomaticIn | None = None
    reviews: list[OfficeIn] = Field(default_factory=list, max_length=5)


class AcceptableIn(_Signed):
    """What is accepted for the buyer without a person: every condition must hold, all else is as it asked or as listed.

    price_at_most_fen: price of access; price_per_use_at_most_fen: of each use; rounds_at_most: a later round is for
    people; counter_price_fen: asked for where only the price of access is too high, null: people answer.
    """

    purposes: list[Purpose] = Field(min_length=1, max_length=40, examples=[["model_training"]])
    price_at_most_fen: Fen
    price_per_use_at_most_fen: Fen
    rounds_at_most: int = Field(ge=1, le=20)
    counter_price_fen: Fen | None


class AcceptanceRuleDocument(_Signed):
    """The document of `contracts/documents/acceptance-rule.schema.json`, as the buyer signs it.

    automatic: null: people answer every offer; nonce: chance, so that nobody finds the bounds by trying hashes.
    """

    type: Literal["acceptance-rule"]
    v: Annotated[int, Field(ge=1, le=1)]
    listing: str = Field(min_length=1, max_length=80)
    buyer: str = Field(min_length=1, max_length=80)
    automatic: AcceptableIn | None
    nonce: str = Field(pattern=r"^[0-9a-f]{32}$")


class AcceptanceRuleIn(BaseModel):
    """A rule and the buyer's detached JWS (typ acceptance-rule+jws) over its canonical bytes."""

    model_config = ConfigDict(extra="forbid")

    rule: AcceptanceRuleDocument
    jws: str = Field(max_length=4096)


class AcceptanceRuleOut(BaseModel):
    """The rule in force; its exact bytes are at /v1/documents/{document}."""

    model_config = ConfigDict(from_attributes=True)

    listing_id: str
    buyer_id: str
    document: Sha256
    automatic: dict[str, Any] | None
    set_at: datetime


class OfficeOut(BaseModel):
    """An office whose approval is needed.  persons: as commitments."""

    office: str
    approvals: int
    persons: list[str]


class AnswerRuleOut(BaseModel):
    """The rule in force; its exact bytes are at /v1/documents/{document}."""

    model_config = ConfigDict(from_attributes=True)

    listing_id: str
    document: Sha256
    automatic: dict[str, Any] | None
    reviews: list[OfficeOut]
    set_at: datetime


class ReviewOut(BaseModel):
    """How far the approvals of terms have come.  missing: office -> approvals that are still needed."""

    terms: Sha256
    approved: list[str]
    missing: dict[str, int]


class WordsOut(BaseModel):
    """The same in two languages."""

    zh: str
    en: str


class ChangeOut(BaseModel):
    """One difference from the round before, or for the first round from the listing."""

    model_config = ConfigDict(from_attributes=True)

    part: str
    change: str
    at: str
    zh: str
    en: str


class RoundOut(BaseModel):
    """What one side proposed; its exact bytes are at /v1/documents/{document}."""

    round: int
    by: Literal["buyer", "provider"]
    purpose: str
    parameters: dict[str, Any]
    price_plan: dict[str, Any]
    term_days: int
    starts_at: datetime | None
    document: Sha256
    made_at: datetime
    changes: list[ChangeOut]
