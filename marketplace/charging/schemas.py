"""What crosses HTTP about what a use would cost."""

from __future__ import annotations

from pydantic import BaseModel, Field

from marketplace.charging.preview import Preview


class TierOut(BaseModel):
    """From the unit after `above` in a month on, a unit costs price_fen."""

    above: int
    price_fen: int


class PreviewOut(BaseModel):
    """What so much would cost; amounts in fen, VAT included."""

    kind: str = Field(description="Kind of price plan.", examples=["per_case"])
    measure: str | None = Field(description="What is metered; null where uses cost nothing.", examples=["case"])
    quantum: int = Field(description="How much of what is counted makes up one priced unit.", examples=[1])
    quanta: int = Field(description="What was asked for, in what is counted: uses, studies or bytes.")
    free: int = Field(description="Of it, what the trial covers.")
    amount_fen: int = Field(description="What it would cost now.")
    capped: bool = Field(description="True where the monthly cap makes it cheaper.")
    net_fen: int = Field(description="The amount without VAT.")
    vat_fen: int
    month: str = Field(examples=["2026-09"])
    counted_before: int = Field(description="Counted in this month before, without what was free.")
    charged_before_fen: int
    cap_left_fen: int | None = Field(description="What the month can still cost after it; null: no cap.")
    minimum_fen: int = Field(description="What a whole month costs at least.")
    trial_left: int
    price_fen: int = Field(description="Of a unit below the first tier.")
    tiers: list[TierOut]
    tier_mode: str | None = Field(description="graduated or volume; null without tiers.")
    access_fen: int = Field(description="Due once when the agreement comes into force, or when its trial is over.")
    trial_days: int = Field(
        description="Days of a subscription before its price is due; 0 without a trial, or for a buyer that had access."
    )
    buyer_fee_fen: int = Field(description="Fee of the exchange, once per buyer and exchange.")


def shown(found: Preview) -> PreviewOut:
    """A preview as it crosses HTTP."""
    rate, charge = found.rate, found.charge
    return PreviewOut(
        kind=found.kind,
        measure=rate.measure if rate else None,
        quantum=rate.quantum if rate else 1,
        quanta=charge.quanta,
        free=charge.free,
        amount_fen=charge.amount_fen,
        capped=charge.capped,
        net_fen=found.split.net,
        vat_fen=found.split.vat,
        month=found.name,
        counted_before=found.before.counted,
        charged_before_fen=found.before.charged_fen,
        cap_left_fen=found.cap_left_fen,
        minimum_fen=rate.minimum_fen if rate else 0,
        trial_left=found.trial_left,
        price_fen=rate.price_fen if rate else 0,
        tiers=[TierOut(above=one.above, price_fen=one.price_fen) for one in (rate.tiers if rate else ())],
        tier_mode=("volume" if rate.volume else "graduated") if rate and rate.tiers else None,
        access_fen=found.access_fen,
        trial_days=found.trial_days,
        buyer_fee_fen=found.buyer_fee_fen,
    )
