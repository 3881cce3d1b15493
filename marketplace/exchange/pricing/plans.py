"""The closed kinds of price plans, as data; what access costs and what one use costs."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from marketplace.kernel.canonical import Json
from marketplace.kernel.money import Money

Fen = Annotated[int, Field(ge=0, le=10**13, strict=True)]
Count = Annotated[int, Field(ge=1, le=10**9, strict=True)]
Regime = Literal["market", "guided_cap", "cost_only", "free"]
Measure = Literal["use", "case", "scan", "gigabyte", "compute_hour"]
Kpi = Literal[
    "sensitivity",
    "specificity",
    "accuracy",
    "area_under_curve",
    "false_positive_rate",
    "reading_time_saved",
    "cost_saved",
    "enrolment_rate",
    "event_rate",
]
MOST_TIERS = 12


class _Plan(BaseModel):
    """What all plans share.  cap_fen: the guided cap (gate H16); cost_fen: the cost that is recovered (gate H4)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    currency: Literal["CNY"] = "CNY"
    regime: Regime = "market"
    price_fen: Fen
    cap_fen: Fen | None = None
    cost_fen: Fen | None = None

    @model_validator(mode="after")
    def _within_regime(self) -> _Plan:
        limits = {"free": 0, "guided_cap": self.cap_fen, "cost_only": self.cost_fen}
        if self.regime in limits:
            limit = limits[self.regime]
            if limit is None or self.highest_fen > limit:
                raise ValueError(f"regime {self.regime} allows at most {limit} fen, got {self.highest_fen}")
        return self

    @property
    def highest_fen(self) -> int:
        """The highest single price of the plan."""
        return self.price_fen


class OneOff(_Plan):
    """One price for access over the whole term; uses within the quota cost nothing more."""

    kind: Literal["one_off"]


class Buyout(_Plan):
    """One price for a permanent licence of the very version of the offer.  exclusive: nobody else gets one later."""

    kind: Literal["buyout"]
    exclusive: bool = False


class Subscription(_Plan):
    """A price for one period, due at its start; the agreement's term is that period.

    trial_days: of the period, after which the price is due instead, unless the agreement has ended by then; only for
    a buyer's first agreement on the data asset, so amendments and renewals have no trial.
    """

    kind: Literal["subscription"]
    period_days: int = Field(ge=1, le=1826)
    trial_days: Annotated[int, Field(ge=1, le=365, strict=True)] | None = None

    @model_validator(mode="after")
    def _trial_ends_within(self) -> Subscription:
        if self.trial_days is not None and self.trial_days >= self.period_days:
            raise ValueError(f"a trial is shorter than its period of {self.period_days} days, got {self.trial_days}")
        return self


class Tier(BaseModel):
    """From the unit after `above` on, a unit costs price_fen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    above: Count
    price_fen: Fen


class Metered(_Plan):
    """A price for each unit that the log tells.  access_fen: price of access itself, due once.

    price_fen: of a unit below the first tier; tiers: by month, in rising order; tier_mode: `graduated`, each unit at
    the price of its own tier (the default), or `volume`, all units of a month at the price of the tier they reach.
    monthly_minimum_fen, monthly_cap_fen: bounds of what one month of China's calendar costs, access not counted.
    trial_units: so many first units of the agreement are free.
    """

    access_fen: Fen = 0
    tiers: Annotated[tuple[Tier, ...], Field(min_length=1, max_length=MOST_TIERS)] | None = None
    tier_mode: Literal["graduated", "volume"] | None = None
    monthly_minimum_fen: Fen | None = None
    monthly_cap_fen: Fen | None = None
    trial_units: Count | None = None

    @property
    def highest_fen(self) -> int:
        return max([self.price_fen, *(tier.price_fen for tier in self.tiers or ())])

    @model_validator(mode="after")
    def _consistent(self) -> Metered:
        steps = [tier.above for tier in self.tiers or ()]
        if steps != sorted(set(steps)):
            raise ValueError(f"tiers rise, got {steps}")
        if self.tier_mode is not None and not steps:
            raise ValueError("tier_mode needs tiers")
        cap, least = self.monthly_cap_fen, self.monthly_minimum_fen
        if cap is not None and least is not None and least > cap:
            raise ValueError(f"the monthly minimum of {least} fen is above the monthly cap of {cap} fen")
        return self


class PerUse(Metered):
    """A price for each use.  access_fen: price of access itself, due once."""

    kind: Literal["per_use"]


class PerCall(Metered):
    """A price for each call of the data interface; a call is one counted use, continued or not."""

    kind: Literal["per_call"]


class PerCase(Metered):
    """A price for each case; a case is one study, paid for once under an agreement however often it is delivered."""

    kind: Literal["per_case"]


class PerScan(Metered):
    """A price for each scan delivered; a scan is one study, counted once in a month."""

    kind: Literal["per_scan"]


class PerGigabyte(Metered):
    """A price for each 10^9 bytes delivered, by the byte, rounded down to the fen over the month."""

    kind: Literal["per_gb"]


class ComputeHour(Metered):
    """A price for each hour of computing, by the second; not offered until there is a compute room."""

    kind: Literal["compute_hour"]


class Hybrid(Metered):
    """A base price, due once as access_fen, and a price for each unit of a measure."""

    kind: Literal["hybrid"]
    access_fen: Annotated[int, Field(ge=1, le=10**13, strict=True)]
    measure: Measure


class Results(_Plan):
    """Pay for results: price_fen is due once a verifier has found the target met, and nothing else is.

    deposit_fen: security that the exchange holds from the start and returns when the target was missed, or once the
    price is paid.  kpi: of a closed list; baseline, target: in thousandths of whatever it measures; the target lies
    on the better side, so `target > baseline` asks for a rise.  window_days: from the signatures until it is measured.
    """

    kind: Literal["results"]
    price_fen: Annotated[int, Field(ge=1, le=10**13, strict=True)]
    deposit_fen: Fen
    kpi: Kpi
    baseline_permille: int = Field(ge=0, le=10**9, strict=True)
    target_permille: int = Field(ge=0, le=10**9, strict=True)
    window_days: int = Field(ge=1, le=1826, strict=True)
    verifier: str = Field(pattern=r"^prt_[A-Za-z0-9_-]{1,76}$")

    @model_validator(mode="after")
    def _something_is_to_change(self) -> Results:
        if self.target_permille == self.baseline_permille:
            raise ValueError("the target is the baseline")
        if self.deposit_fen > self.price_fen:
            raise ValueError(f"the deposit of {self.deposit_fen} fen is above the price of {self.price_fen} fen")
        return self

    def met(self, value_permille: int) -> bool:
        """Whether a measured value meets the target."""
        rise = self.target_permille > self.baseline_permille
        return value_permille >= self.target_permille if rise else value_permille <= self.target_permille


AnyPlan: TypeAlias = (
    OneOff | Buyout | Subscription | PerUse | PerCall | PerCase | PerScan | PerGigabyte | ComputeHour | Hybrid | Results
)
PricePlan: TypeAlias = Annotated[AnyPlan, Field(discriminator="kind")]
_ADAPTER: TypeAdapter[AnyPlan] = TypeAdapter(PricePlan)


def read_plan(plan: Json) -> AnyPlan:
    """A stored plan as its model."""
    return _ADAPTER.validate_python(plan)


def price_of_access(plan: Json) -> Money:
    """What the buyer owes once, when the agreement is in force."""
    match read_plan(plan):
        case Metered(access_fen=fen):
            return Money(fen)
        case Results():
            return Money(0)
        case OneOff(price_fen=fen) | Buyout(price_fen=fen) | Subscription(price_fen=fen):
            return Money(fen)


def price_of_use(plan: Json) -> Money:
    """What the buyer owes for each use, before tiers, trial and cap; zero where another unit is metered."""
    match read_plan(plan):
        case PerUse(price_fen=fen) | PerCall(price_fen=fen) | Hybrid(measure="use", price_fen=fen):
            return Money(fen)
        case _:
            return Money(0)
