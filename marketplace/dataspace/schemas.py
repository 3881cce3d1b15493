"""What crosses our own API about exchanges with connectors elsewhere."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from marketplace.dataspace.messages import PULL
from marketplace.negotiation.rounds.schemas import Purpose, TermsIn


class RemoteFilterIn(BaseModel):
    """What a catalogue is filtered by, as far as the other side knows these members."""

    model_config = ConfigDict(extra="forbid")

    text: str | None = Field(default=None, max_length=200)
    modality: str | None = Field(default=None, max_length=80)
    body_part: str | None = Field(default=None, max_length=80)
    purpose: str | None = Field(default=None, max_length=80)


class RemoteCatalogueIn(BaseModel):
    """Ask a provider elsewhere what it offers.

    address: its base address, of those registered for the connector; next: of the page before, with the same filter;
    dataset: the id of one data set, instead of a filter and pages.
    """

    model_config = ConfigDict(extra="forbid")

    connector_id: str = Field(max_length=80)
    address: str = Field(max_length=1000, examples=["https://connector.example:443/dsp/provider/2025-1"])
    filter: RemoteFilterIn | None = None
    next: str | None = Field(default=None, min_length=1, max_length=2000)
    dataset: str | None = Field(default=None, min_length=1, max_length=500)

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Self:
        if self.dataset is not None and (self.filter is not None or self.next is not None):
            raise ValueError("one data set is asked for without filter and next")
        return self


class RemoteDatasetOut(BaseModel):
    """A data set elsewhere.

    offers: with their target, as `POST /v1/dataspace/negotiations` takes them; offers_left_out: how many more there are
    that could not be asked for from here; formats: how the data is had; described: what else the other side says of it,
    with decimal numbers as texts.
    """

    id: str
    offers: list[dict[str, Any]]
    offers_left_out: int
    formats: list[str]
    described: dict[str, Any]


class NamedCatalogueOut(BaseModel):
    """A catalogue that another one names.  participant_id: None where it does not say whose it is."""

    participant_id: str | None
    addresses: list[str]


class RemoteCatalogueOut(BaseModel):
    """A page of what a provider elsewhere offers to the caller now.  next: asks for the page after, None at the end."""

    participant_id: str
    datasets: list[RemoteDatasetOut]
    catalogues: list[NamedCatalogueOut]
    next: str | None


class NegotiationIn(BaseModel):
    """Ask a provider elsewhere for a contract.

    address: its base address, of those registered for the connector; offer: as its catalogue shows it, with `target`,
    or with other rules; terms: beside it, what its rules have no words for.
    """

    model_config = ConfigDict(extra="forbid")

    connector_id: str = Field(max_length=80)
    address: str = Field(max_length=1000, examples=["https://connector.example:443/dsp/provider/2025-1"])
    offer: dict[str, Any] = Field(
        examples=[
            {"@id": "offer-1", "@type": "Offer", "target": "dataset-1", "permission": [{"action": "use"}]},
        ]
    )
    terms: TermsIn | None = None


class RemoteOfferIn(BaseModel):
    """Offer a listing to a buyer behind a connector that has not asked.

    address: the buyer's base address, of those registered for the connector; terms: left out: those of the listing.
    """

    model_config = ConfigDict(extra="forbid")

    connector_id: str = Field(max_length=80)
    address: str = Field(max_length=1000, examples=["https://connector.example:443/dsp/buyer/2025-1"])
    listing: str = Field(max_length=80, description="Id of a visible listing of your own.")
    purpose: Purpose = Field(examples=["model_training"])
    terms: TermsIn = Field(default_factory=TermsIn)


class TransferIn(BaseModel):
    """Ask a provider elsewhere for the data of an agreement; agreement_id: the provider's own."""

    model_config = ConfigDict(extra="forbid")

    connector_id: str = Field(max_length=80)
    address: str = Field(max_length=1000, examples=["https://connector.example:443/dsp/provider/2025-1"])
    agreement_id: str = Field(min_length=1, max_length=2000)
    format: str = Field(default=PULL, max_length=80)


class MoveIn(BaseModel):
    """What we say next in an exchange.

    signature: to `accept` or `verify`, the detached JWS of the caller over the document of the contract.
    offer: to `request`, the counter-offer, for the same data set; terms: beside it, what its rules have no words for.
    """

    model_config = ConfigDict(extra="forbid")

    move: Literal["request", "accept", "verify", "start", "suspend", "complete", "terminate"]
    signature: str | None = Field(default=None, max_length=8192)
    offer: dict[str, Any] | None = None
    terms: TermsIn | None = None


class MessageOut(BaseModel):
    """One message.  state: waiting, sending, taken, refused, given_up or dropped; status: of the last attempt."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    ours: bool
    move: str
    sha256: str
    body: dict[str, Any]
    state: str
    attempts: int
    status: int | None
    asked_at: datetime
    settled_at: datetime | None


class ExchangeOut(BaseModel):
    """A negotiation or a transfer with a connector elsewhere, as the participant here sees it.

    error: a code, when it ended without the other side; request_id, agreement_id: of the contract here, or empty.
    """

    model_config = ConfigDict(from_attributes=True)

    id: str
    protocol: str
    participant_id: str
    connector_id: str
    side: str
    peer_pid: str
    address: str
    state: str
    subject: str
    format: str
    terms: dict[str, Any]
    agreement: dict[str, Any]
    data_address: dict[str, Any]
    request_id: str
    agreement_id: str
    error: str
    opened_at: datetime
    moved_at: datetime


class ExchangePage(BaseModel):
    """Several of them.  next: cursor of the next page, null on the last."""

    items: list[ExchangeOut]
    next: str | None


class HeldAgreementOut(BaseModel):
    """An agreement with a provider elsewhere.

    agreement: the provider's own id, under which data is asked for; document: what both sides said, signed by the
    service; contract: what both parties signed, null where the provider's connector signs nothing; both are at
    /v1/documents/{sha256}.  state: in_force, terminated or expired; reason: a code, once ended.
    """

    model_config = ConfigDict(from_attributes=True)

    id: str
    exchange_id: str
    buyer_id: str
    connector_id: str
    agreement: str
    dataset: str
    document: str
    contract: Annotated[str | None, BeforeValidator(lambda value: value or None)]
    state: str
    reason: str
    held_at: datetime
    ends_at: datetime | None
    ended_at: datetime | None


class HeldAgreementPage(BaseModel):
    """Agreements with providers elsewhere.  next: cursor of the next page, null on the last."""

    items: list[HeldAgreementOut]
    next: str | None


class PushOut(BaseModel):
    """How far a push of ours has come.

    state: waiting, pushing, stopped, acknowledged, refused or given_up; attempts: since the last start; reached: bytes
    that were on their way at most; size: of the whole, 0 before the first attempt; status: HTTP, of the last answer.
    """

    model_config = ConfigDict(from_attributes=True)

    state: str
    attempts: int
    reached: int
    size: int
    status: int | None
    moved_at: datetime


class ArrivalOut(BaseModel):
    """What was pushed to the participant here.  digest_given: whether the sender named the SHA-256, which it has."""

    model_config = ConfigDict(from_attributes=True)

    sha256: str
    bytes: int
    digest_given: bool
    arrived_at: datetime


class ExchangeDetail(ExchangeOut):
    """The same with everything that was said, in order.  push, arrival: of a transfer that is pushed, else None."""

    messages: list[MessageOut]
    push: PushOut | None
    arrival: ArrivalOut | None
