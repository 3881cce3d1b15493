"""Price plans: closed kinds of data, and the two questions asked of them."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Invalid
from marketplace.kernel.money import Money

Fen = Annotated[int, Field(ge=0, le=10**13, strict=True)]
Regime = Literal["market", "guided_cap", "cost_only", "free"]


class PlanDoesNotFit(Invalid):
    """The price plan does not fit the offer."""


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
            if limit is None or self.price_fen > limit:
                raise ValueError(f"regime {self.regime} allows at most {limit} fen, got {self.price_fen}")
        return self


class OneOff(_Plan):
    """One price for access over the whole term; uses within the quota cost nothing more."""

    kind: Literal["one_off"]


class PerUse(_Plan):
    """A price for each use.  access_fen: price of access itself, due once."""

    kind: Literal["per_use"]
    access_fen: Fen = 0


class Subscription(_Plan):
    """A price for one period, due at its start; the agreement's term is that period."""

    kind: Literal["subscription"]
    period_days: int = Field(ge=1, le=1826)


PricePlan: TypeAlias = Annotated[OneOff | PerUse | Subscription, Field(discriminator="kind")]
_ADAPTER: TypeAdapter[PricePlan] = TypeAdapter(PricePlan)


def read_plan(plan: Json) -> OneOff | PerUse | Subscription:
    """A stored plan as its model."""
    return _ADAPTER.validate_python(plan)


def price_of_access(plan: Json) -> Money:
    """What the buyer owes once, when the agreement is in force."""
    match read_plan(plan):
        case PerUse(access_fen=fen) | OneOff(price_fen=fen) | Subscription(price_fen=fen):
            return Money(fen)


def price_of_use(plan: Json) -> Money:
    """What the buyer owes for each use."""
    match read_plan(plan):
        case PerUse(price_fen=fen):
            return Money(fen)
        case _:
            return Money(0)


def describe(plan: Json, language: str) -> str:
    """The plan as one contract sentence without its full stop, in `zh` or `en`."""
    access, each = _amounts(plan, language)
    match (read_plan(plan), language):
        case (PerUse(), "zh"):
            return f"使用权价款为{access}，合同生效时支付；另按次计价，每次使用{each}"
        case (PerUse(), _):
            return f"The price of access is {access}, due when the agreement comes into force; each use costs {each}"
        case (Subscription(period_days=days), "zh"):
            return f"订阅价款为每期（{days} 日）{access}，期初支付"
        case (Subscription(period_days=days), _):
            return f"The subscription costs {access} for its period of {days} days, due at the start"
        case (_, "zh"):
            return f"整个期限的价款为{access}，合同生效时一次付清"
        case _:
            return f"The price for the whole term is {access}, due once when the agreement comes into force"


def check_fit(plan: OneOff | PerUse | Subscription, *, term_days: int, contains_genomic: bool) -> None:
    """Refuse a plan that contradicts the offer.  Raises PlanDoesNotFit (gate H4: genomic data recovers cost only)."""
    if contains_genomic and plan.regime not in {"cost_only", "free"}:
        raise PlanDoesNotFit(
            "data with genomic fields may only recover its cost (HGR regulation art. 10)",
            expected="regime cost_only or free",
            got=plan.regime,
        )
    if isinstance(plan, PerUse) and plan.regime != "market" and plan.access_fen:
        raise PlanDoesNotFit(
            "a regulated price has no price of access beside the price per use",
            expected="access_fen 0",
            got=str(plan.access_fen),
        )
    if isinstance(plan, Subscription) and plan.period_days != term_days:
        raise PlanDoesNotFit(
            "a subscription lasts one period; the next period is a new agreement",
            expected=f"period_days {term_days}, as term_days",
            got=str(plan.period_days),
        )


def _amounts(plan: Json, language: str) -> tuple[str, str]:
    access, each = (f"{money.decimal:,.2f}" for money in (price_of_access(plan), price_of_use(plan)))
    if language == "zh":
        return f"人民币 {access} 元", f"人民币 {each} 元"
    return f"RMB {access}", f"RMB {each}"
