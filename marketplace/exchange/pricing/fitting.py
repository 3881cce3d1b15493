"""Whether a price plan fits an offer: its term, its regime, and what the house can meter."""

from __future__ import annotations

from collections.abc import Collection

from marketplace.exchange.pricing.engine import rate_of
from marketplace.exchange.pricing.plans import AnyPlan, Buyout, Hybrid, Metered, OneOff, Results, Subscription
from marketplace.kernel.errors import Invalid


class PlanDoesNotFit(Invalid):
    """The price plan does not fit the offer."""


def check_fit(plan: AnyPlan, *, term_days: int, contains_genomic: bool, duties: Collection[str] = ()) -> None:
    """Refuse a plan that contradicts the offer.

    Raises PlanDoesNotFit (gate H4: genomic data recovers cost only, by prices of access alone).

    duties: ODRL actions of the duties of the offer's uses.
    """
    rate = rate_of(plan)
    if contains_genomic and plan.regime not in {"cost_only", "free"}:
        raise PlanDoesNotFit(
            "data with genomic fields may only recover its cost (HGR regulation art. 10)",
            expected="regime cost_only or free",
            got=plan.regime,
        )
    if plan.regime == "cost_only":
        _require_charged_at_once(plan)
    if isinstance(plan, Metered) and plan.regime != "market":
        _require_units_alone(plan)
    if isinstance(plan, Subscription) and plan.period_days != term_days:
        raise PlanDoesNotFit(
            "a subscription lasts one period; the next period is a new agreement",
            expected=f"period_days {term_days}, as term_days",
            got=str(plan.period_days),
        )
    if rate is not None and rate.measure == "compute_hour":
        raise PlanDoesNotFit(
            "hours of computing cannot be metered: there is no compute room",
            expected="a plan that meters uses, cases, scans or bytes",
            got="compute_hour",
        )
    if isinstance(plan, Results) and plan.window_days > term_days:
        raise PlanDoesNotFit(
            "results are measured within the term", expected=f"at most {term_days} days", got=str(plan.window_days)
        )
    if isinstance(plan, Buyout) and "delete" in duties:
        raise PlanDoesNotFit(
            "a permanent licence contradicts a duty to delete at the end",
            expected="a template without the duty delete, e.g. buyout/v1",
            got="delete",
        )


def _require_charged_at_once(plan: AnyPlan) -> None:
    """A contract that only recovers a cost is judged as it comes into force, so all it brings is charged then."""
    if not isinstance(plan, (OneOff, Buyout, Subscription)):
        raise PlanDoesNotFit(
            "a price that only recovers a cost is a price of access, not one of units or results charged later",
            expected="kind one_off, buyout or subscription, or regime free",
            got=plan.kind,
        )
    if isinstance(plan, Subscription) and plan.trial_days is not None:
        raise PlanDoesNotFit(
            "a price that only recovers a cost is charged as the contract comes into force, not after a trial",
            expected="a subscription without trial_days",
            got=f"trial_days {plan.trial_days}",
        )


def _require_units_alone(plan: Metered) -> None:
    """The limit of a regulated price is that of a unit, so nothing is due that no unit brought."""
    for name in ("access_fen", "monthly_minimum_fen"):
        due = getattr(plan, name)
        if due:
            raise PlanDoesNotFit(
                "a regulated price has nothing due beside the price per unit", expected=f"{name} 0", got=str(due)
            )


def require_regime(listed: AnyPlan, plan: AnyPlan) -> None:
    """Refuse a plan that leaves the regulated price under which a listing was signed.

    A market price may change freely.  Raises PlanDoesNotFit (gates H16: guided cap, H4: cost only).
    """
    if listed.regime == "market":
        return
    if (plan.regime, _unit(plan)) != (listed.regime, _unit(listed)):
        raise PlanDoesNotFit(
            "the exchange signed this listing under another price regime",
            expected=f"regime {listed.regime}, {_unit(listed)}",
            got=f"regime {plan.regime}, {_unit(plan)}",
            action="keep kind and regime of the listing, or publish another listing",
        )
    for name in ("cap_fen", "cost_fen"):
        limit, said = getattr(listed, name), getattr(plan, name)
        if limit is not None and (said is None or said > limit):
            raise PlanDoesNotFit(
                "the limit of a regulated price is that of the listing",
                expected=f"{name} at most {limit}",
                got=str(said),
            )


def _unit(plan: AnyPlan) -> str:
    """What a limit of a price is for: the kind of plan, and what a hybrid one meters."""
    return f"{plan.kind} by {plan.measure}" if isinstance(plan, Hybrid) else plan.kind
