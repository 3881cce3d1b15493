"""What crosses HTTP about costs."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, ConfigDict, Field


class AssumptionsOut(BaseModel):
    """What the forecast part of a cost sheet rests on."""

    model_config = ConfigDict(from_attributes=True)

    marginal_fen: int = Field(description="Cost of serving one sale, fen.")
    operator_per_mille: int = Field(description="An operator's share of the price without VAT.")


class CostSheetOut(BaseModel):
    """Cost and income of an asset from the books; amounts in fen."""

    model_config = ConfigDict(from_attributes=True)

    asset: str
    currency: str
    records: int = Field(description="Records that the unit cost divides by.")
    stages: dict[str, int] = Field(
        description="Cost by passport stage.",
        examples=[{"collected": 0, "governed": 5_500_000, "assessed": 5_500_000, "certified": 500_000, "listed": 0}],
    )
    total_fen: int
    unit_cost_fen: int | None
    sales: int
    revenue_fen: int = Field(description="What buyers were charged, VAT included.")
    kept_fen: int = Field(description="What is left of it after VAT, surcharges and the exchange fee.")
    recovered_per_mille: int | None = Field(description="Kept income in thousandths of the cost.")
    unrecovered_fen: int
    break_even: dict[int, int | None] = Field(
        description="Price in fen -> sales that earn the cost back; null: never.",
        examples=[{"2000000": 8, "5000000": 3, "10000000": 2}],
    )
    price_for: dict[int, int] = Field(description="Number of sales -> price in fen that earns the cost back.")
    assumptions: AssumptionsOut
    complete: bool = Field(description="False while metered events still wait to be posted.")
    pending: dict[str, int] = Field(description="Kind -> metered events not yet posted.")


class DiscountOut(BaseModel):
    """A reduction for volume or frequency; of several that are reached the lowest counts, they never add up."""

    by: str = Field(description="What is counted.", examples=["engagements_12m"])
    at_least: int
    per_mille: int = Field(description="What is left of the value, in thousandths.")


class TariffOut(BaseModel):
    """A published tariff with its source."""

    id: str = Field(examples=["cn-2025-report/governance.scan@2025-01-01"])
    sheet: str
    currency: str
    kind: str
    measure: str
    value: int
    range: tuple[int, int] | None = Field(description="Lowest and highest known value, in the same measure.")
    unit: str
    conditions: dict[str, str] = Field(description="What the source says of the figure.")
    applies_to: dict[str, str] = Field(description="Codes that an event must have; empty: every event.")
    discounts: list[DiscountOut]
    supersedes: str | None = Field(description="The tariff whose place this one takes on its days.")
    valid_from: date
    valid_until: date | None
    source: str
    grade: str
    is_example: bool
    value_is_example: bool
    note: str
