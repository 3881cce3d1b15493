"""What crosses HTTP about plans; amounts in fen."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import BaseModel, ConfigDict, Field

from marketplace.costing.schemas import CostSheetOut


class AssetLineOut(BaseModel):
    """One asset on the director's page."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    name_en: str
    sheet: CostSheetOut
    listed_at: datetime | None = Field(description="First listing; the observed rate counts from here.")
    list_price_fen: int | None = Field(description="Highest price of access of its listed offers.")
    carried_fen: int = Field(description="What is left of its balance in the books as data inventory or data asset.")
    sales_to_go: int | None = Field(
        description="Further sales at the list price until the cost is met, 0 when it is; null: never, or no price."
    )
    payback_at: datetime | None = Field(description="When the cost is met if income goes on as so far; null: never.")


class RiskOut(BaseModel):
    """What a provider is exposed to, in numbers."""

    model_config = ConfigDict(from_attributes=True)

    live_agreements: int
    to_answer: int = Field(description="Requests that wait for the provider.")
    conditions: int = Field(description="Conditions of its opinions that are not met.")
    conditions_overdue: int
    proofs: dict[str, int] = Field(description="State -> proofs that its buyers owe.", examples=[{"pending": 2}])
    records_exposed: int = Field(description="Studies of versions of which a byte left as records, each version once.")
    copies_out: int = Field(description="Agreements whose delivery is not certified as deleted.")
    smallest_group: int | None = Field(
        description="Persons in the smallest group of all that left; null: nothing left."
    )
    unpaid_fen: int
    overdue_fen: int


class EndedOut(BaseModel):
    """An agreement that a stop would end."""

    model_config = ConfigDict(from_attributes=True)

    agreement: str
    asset: str
    buyer: str
    ends_at: datetime
    refund_fen: int = Field(description="Part of the charge for access that belongs to the rest of the term.")
    lost_fen: int = Field(
        description="What its uses would bring in the rest of the term at this rate, and a price put off by a trial."
    )


class StopOut(BaseModel):
    """What a stop of everything now would end and cost; a planning figure, pro rata of the terms."""

    model_config = ConfigDict(from_attributes=True)

    ended: list[EndedOut]
    refund_fen: int
    lost_fen: int
    sunk: dict[str, int] = Field(description="Cost by passport stage.", examples=[{"governed": 5_500_000}])
    impairment_fen: int = Field(description="What the books would have to write off.")
    unrecovered_fen: int
    cost_fen: int = Field(description="Refunds, income that will not come, and what is written off.")


class PayablesSumOut(BaseModel):
    """What a provider owes for stages to law firms, registrars and others."""

    model_config = ConfigDict(from_attributes=True)

    owed_fen: int = Field(description="Neither ordered nor paid.")
    back_fen: int = Field(description="What corrected tariffs made too much; the next orders take it off.")
    ordered_fen: int = Field(description="Ordered from the bank and not confirmed.")
    paid_fen: int


class DirectorOut(BaseModel):
    """The director's page: every asset in numbers, the risk, what a stop would cost."""

    model_config = ConfigDict(from_attributes=True)

    provider: str
    at: datetime
    assets: list[AssetLineOut]
    total_fen: int
    revenue_fen: int = Field(description="What buyers were charged, VAT included.")
    kept_fen: int
    unrecovered_fen: int
    complete: bool = Field(description="False while metered events still wait to be posted.")
    payables: PayablesSumOut
    risk: RiskOut
    stop: StopOut


class SensitivityOut(BaseModel):
    """The result at both ends of one factor while the others stay in the middle."""

    model_config = ConfigDict(from_attributes=True)

    factor: str
    at_low: int
    at_high: int


class SimulationOut(BaseModel):
    """What an asset may bring in the end: kept income of all sales less marginal and sunk cost."""

    model_config = ConfigDict(from_attributes=True)

    asset: str
    worst: int
    middle: int
    best: int
    sensitivities: list[SensitivityOut] = Field(description="The factor that decides most first.")
    seed: int
    runs: int
    percentiles: dict[int, int] = Field(description="Percent -> result that so many runs do not exceed.")
    mean: int = Field(description="Rounded down to the fen.")
    loss_per_mille: int = Field(description="Runs that end below zero, in thousandths.")


class ScenarioRowOut(BaseModel):
    """One scenario of the board; a demand or listing may count in several."""

    model_config = ConfigDict(from_attributes=True)

    code: str = Field(examples=["public_health"])
    en: str
    zh: str
    purposes: list[str]
    demands: int
    buyers: int
    listings: int = Field(description="Listings that everybody sees now and that permit such a purpose.")
    gap: int
    mentions: int | None = Field(description="Figure of a third party, see `mentions_of`; null: not known.")
    named_as_thin: bool = Field(description="Said by the same third party.")


class MentionsOut(BaseModel):
    """Where the mentions come from: never this exchange's own statistics."""

    model_config = ConfigDict(from_attributes=True)

    third_party: bool
    source: str
    as_of: date
    total: int


class BoardOut(BaseModel):
    """What is looked for and what is offered, the widest gap first."""

    rows: list[ScenarioRowOut]
    mentions_of: MentionsOut


class FilterOut(BaseModel):
    """One condition of a demand."""

    model_config = ConfigDict(from_attributes=True)

    name: str = Field(examples=["purpose"])
    passed: bool
    words: dict[str, str] = Field(description="en, zh: what was asked and what is there.")


class MatchOut(BaseModel):
    """A listing before a demand."""

    model_config = ConfigDict(from_attributes=True)

    listing: str
    asset: str
    asset_name: str
    asset_name_en: str
    fits: bool
    filters: list[FilterOut]


class MatchPage(BaseModel):
    """Listings of a page of the catalogue, what fits first.  next: cursor of the next page, null on the last."""

    items: list[MatchOut]
    next: str | None
