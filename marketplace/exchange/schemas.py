"""What crosses HTTP about offers, listings, the catalogue and demands."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from marketplace.exchange.pricing import PricePlan

ReasonCode = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{2,63}$")]
ParticipantId = Annotated[str, StringConstraints(min_length=3, max_length=80)]


class OfferIn(BaseModel):
    """What a provider offers of a certified version.  parameters: as the template's schema at GET /v1/terms says."""

    model_config = ConfigDict(extra="forbid")

    template: str = Field(max_length=80, examples=["model-training/v1"])
    parameters: dict[str, Any] = Field(
        examples=[
            {
                "purposes": ["model_training", "model_validation"],
                "max_uses": 5,
                "max_bytes": "1000000000",
                "deletion_days": 30,
                "report_days": 90,
            }
        ]
    )
    price_plan: PricePlan = Field(examples=[{"kind": "one_off", "price_fen": 5000000}])
    delivery_mode: Literal["download"] = "download"
    term_days: int = Field(ge=1, le=1826, examples=[365])
    buyers: Annotated[list[ParticipantId], Field(min_length=1, max_length=50)] | None = Field(
        default=None, description="Whom a private offer is for; left out: everybody."
    )


class SubmissionIn(BaseModel):
    """operator_id: the exchange to list on; may be left out where only one exchange is admitted."""

    model_config = ConfigDict(extra="forbid")

    operator_id: ParticipantId | None = None


class ReasonIn(BaseModel):
    """Why.  reason: a code; note: words for the other side, without personal data."""

    model_config = ConfigDict(extra="forbid")

    reason: ReasonCode = Field(examples=["incomplete_description"])
    note: str = Field(default="", max_length=1000)


class DemandIn(BaseModel):
    """What a buyer looks for."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    title: str = Field(min_length=4, max_length=120)
    description: str = Field(default="", max_length=2000)
    modality: str = Field(default="", max_length=16)
    body_part: str = Field(default="", max_length=64)
    purpose: str = Field(max_length=40, examples=["model_training"])
    budget_fen: int | None = Field(default=None, ge=0, le=10**13)


class TermOut(BaseModel):
    """One term of a policy and who makes sure of it."""

    pointer: str
    term: str
    enforcement: Literal["enforced_here", "attested_by_buyer", "legal_only"]


class OfferOut(BaseModel):
    """An offer with the share of its terms that is enforced here, in thousandths."""

    id: str
    provider_id: str
    asset_id: str
    version_id: str
    template: str
    parameters: dict[str, Any]
    uses: dict[str, Any]
    enforcement: list[TermOut]
    enforced_permille: int
    price_plan: dict[str, Any]
    delivery_mode: str
    term_days: int
    made_at: datetime


class OfferPage(BaseModel):
    """Offers.  next: cursor of the next page, null on the last."""

    items: list[OfferOut]
    next: str | None


class ListingOut(BaseModel):
    """A listing as its provider and its operator see it."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    offer_id: str
    asset_id: str
    version_id: str
    operator_id: str
    state: str
    document: str | None
    submitted_at: datetime
    listed_at: datetime | None
    reason: str
    note: str


class ListingPage(BaseModel):
    """Listings.  next: cursor of the next page, null on the last."""

    items: list[ListingOut]
    next: str | None


class CatalogueItem(BaseModel):
    """One line of the public catalogue."""

    listing_id: str
    asset_id: str
    version_id: str
    name: str
    name_en: str
    overview: str
    overview_en: str
    modality: str
    body_part: str
    keywords: list[str]
    records: int
    provider_id: str
    provider: str
    provider_en: str
    purposes: list[str]
    price_plan: dict[str, Any]
    term_days: int
    delivery_mode: str
    listed_at: datetime
    is_example: bool


class PurposeMatch(BaseModel):
    """Whether a listing permits a purpose, and why or why not; a listing's terms stay those that are signed."""

    model_config = ConfigDict(from_attributes=True)

    fits: bool
    reasons: list[dict[str, str]] = Field(description="In `en` and `zh`, one for each permission that was looked at.")


class CatalogueDetail(CatalogueItem):
    """A listing in full: what may be done, who enforces it, on which proofs it rests."""

    version_root: str
    files: int
    bytes: int
    region: str
    time_from: str
    time_to: str
    update_frequency: str
    template: str
    uses: dict[str, Any]
    enforcement: list[TermOut]
    enforced_permille: int
    certificate_code: str
    certificate_valid_until: datetime
    opinion_number: str
    opinion_outcome: str
    opinion_expires_at: datetime
    document: str
    operator_id: str
    purpose_match: PurposeMatch | None = None


class CatalogueOut(BaseModel):
    """A page of the catalogue; next_cursor is null on the last page."""

    items: list[CatalogueItem]
    next_cursor: str | None


class FacetsOut(BaseModel):
    """How many listings there are with each value, by kind of filter; values in lower case."""

    counted_at: datetime
    listings: int
    modality: dict[str, int]
    body_part: dict[str, int]
    purpose: dict[str, int]
    provider: dict[str, int]


class DemandOut(BaseModel):
    """A published demand."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    buyer_id: str
    title: str
    description: str
    modality: str
    body_part: str
    purpose: str
    budget_fen: int | None
    published_at: datetime


class DemandPage(BaseModel):
    """Published demands.  next: cursor of the next page, null on the last."""

    items: list[DemandOut]
    next: str | None


class MarketReferenceOut(BaseModel):
    """A product listed elsewhere, with its source; price null where none is known."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    date: str
    product: str
    kind: str
    provider: str
    venue: str
    note: str
    grade: str
    source: str
    price_fen: int | None
    is_example: bool


class TemplateOut(BaseModel):
    """A contract template: its titles, the schema of its parameters, its clauses by language.

    obstacles: why no offer can be made of it for the time being; price_plans: which plans it takes, empty = any.
    """

    name: str
    title: dict[str, str]
    parameters_schema: dict[str, Any]
    offer: dict[str, Any]
    clauses: dict[str, list[dict[str, str]]]
    obstacles: list[str]
    price_plans: dict[str, list[str]]
