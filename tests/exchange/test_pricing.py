"""Price plans as data and the engine that prices them: tiers, volume, trial, minimum, cap; the same however cut up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from marketplace.exchange.pricing import (
    Buyout,
    ComputeHour,
    Hybrid,
    Metered,
    Month,
    OneOff,
    PerCall,
    PerCase,
    PerGigabyte,
    PerScan,
    PerUse,
    PlanDoesNotFit,
    Rate,
    Results,
    Subscription,
    Tier,
    charge_of,
    check_fit,
    describe,
    gross,
    minimum_of,
    price_of_access,
    price_of_use,
    rate_of,
    read_plan,
)
from marketplace.exchange.terms import CONTRACTS
from marketplace.kernel.money import Money

MODELS = (OneOff, Buyout, Subscription, PerUse, PerCall, PerCase, PerScan, PerGigabyte, ComputeHour, Hybrid, Results)
EXAMPLES = CONTRACTS / "price-plans" / "examples"


def kind_of(model: Any) -> str:
    (kind,) = model.model_fields["kind"].annotation.__args__
    return str(kind)


def examples(folder: str) -> list[Path]:
    return sorted((EXAMPLES / folder).glob("*.json"))


def rate(**plan: Any) -> Rate:
    found = rate_of(read_plan({"kind": "per_use", "price_fen": 100} | plan))
    assert found is not None
    return found


@pytest.mark.parametrize("model", MODELS, ids=kind_of)
def test_published_schemas_are_those_of_the_models(model: Any) -> None:
    written = json.loads((CONTRACTS / "price-plans" / f"{kind_of(model)}.schema.json").read_text("utf-8"))
    assert written == {"$schema": "https://json-schema.org/draft/2020-12/schema"} | model.model_json_schema()


def test_every_kind_has_a_schema_and_a_valid_and_an_invalid_example() -> None:
    kinds = {kind_of(model) for model in MODELS}
    assert {path.name.split(".")[0] for path in EXAMPLES.parent.glob("*.schema.json")} == kinds
    for folder in ("valid", "invalid"):
        assert {path.stem.partition("-")[0] for path in examples(folder)} == kinds


@pytest.mark.parametrize("path", examples("valid"), ids=lambda path: path.stem)
def test_a_valid_example_is_a_plan_that_says_itself_in_both_languages(path: Path) -> None:
    data = json.loads(path.read_text("utf-8"))
    plan = read_plan(data)
    assert plan.kind == path.stem.partition("-")[0]
    assert read_plan(plan.model_dump(exclude_none=True)) == plan
    rated = rate_of(plan)
    amounts = [price_of_access(data).minor, *([rated.price_fen, rated.cap_fen, rated.minimum_fen] if rated else [])]
    amounts += [tier.price_fen for tier in rated.tiers] if rated else []
    for language in ("zh", "en"):
        said = describe(data, language)
        assert not said.endswith((".", "。"))
        for amount in filter(None, amounts):
            assert f"{Money(amount).decimal:,.2f}" in said, (language, amount)
    assert "exclusive" not in data or "grants nobody else" in describe(data, "en")


@pytest.mark.parametrize("path", examples("invalid"), ids=lambda path: path.stem)
def test_an_invalid_example_is_refused(path: Path) -> None:
    with pytest.raises(ValidationError):
        read_plan(json.loads(path.read_text("utf-8")))


def test_an_older_plan_is_stored_and_worded_as_before() -> None:
    stored = read_plan({"kind": "per_use", "price_fen": 7, "access_fen": 3}).model_dump(exclude_none=True)
    assert stored == {"currency": "CNY", "regime": "market", "price_fen": 7, "access_fen": 3, "kind": "per_use"}
    assert describe(stored, "en") == (
        "The price of access is RMB 0.03, due when the agreement comes into force; each use costs RMB 0.07"
    )
    assert describe(stored, "zh") == ("使用权价款为人民币 0.03 元，合同生效时支付；另按次计价，每次使用人民币 0.07 元")
    assert rate(price_fen=7).linear


def test_graduated_tiers_price_each_unit_in_its_own_tier() -> None:
    found = rate(tiers=[{"above": 10, "price_fen": 80}, {"above": 20, "price_fen": 50}])
    assert [gross(found, units) for units in (0, 1, 10, 11, 20, 21, 30)] == [0, 100, 1000, 1080, 1800, 1850, 2300]


def test_by_volume_all_units_have_the_price_of_the_tier_they_reach_and_more_never_costs_less() -> None:
    found = rate(tiers=[{"above": 10, "price_fen": 50}], tier_mode="volume")
    # 11 units at 50 are 550: six to ten units never cost more than that.
    assert [gross(found, units) for units in (0, 5, 6, 10, 11, 20)] == [0, 500, 550, 550, 550, 1000]


def test_bytes_are_priced_by_the_byte_and_rounded_down_once_over_the_month() -> None:
    found = rate(kind="per_gb", price_fen=1000)
    month = Month()
    amounts = []
    for _ in range(4):
        charge = charge_of(found, month, 250_500_000)
        month = charge.after
        amounts.append(charge.amount_fen)
    assert amounts == [250, 251, 250, 251]
    assert sum(amounts) == gross(found, 4 * 250_500_000) == 1002


def test_the_first_units_are_free_the_cap_holds_and_says_so() -> None:
    found = rate(trial_units=2, monthly_cap_fen=250)
    month, amounts, capped = Month(), [], []
    for _ in range(6):
        charge = charge_of(found, month, 1)
        month = charge.after
        amounts.append(charge.amount_fen)
        capped.append(charge.capped)
    assert amounts == [0, 0, 100, 100, 50, 0]
    assert capped == [False, False, False, False, True, True]
    assert month == Month(4, 250, 2)


def test_a_minimum_is_due_for_the_days_of_the_month_and_only_as_far_as_not_charged() -> None:
    found = rate(monthly_minimum_fen=3000)
    assert minimum_of(found, 0, 30, 30) == 3000
    assert minimum_of(found, 2999, 30, 30) == 1
    assert minimum_of(found, 4000, 30, 30) == 0
    assert minimum_of(found, 0, 10, 31) == 967


def test_hours_of_computing_have_a_price_but_are_not_offered() -> None:
    plan = read_plan({"kind": "compute_hour", "price_fen": 3600})
    found = rate_of(plan)
    assert found is not None
    assert gross(found, 90 * 60) == 5400
    with pytest.raises(PlanDoesNotFit, match="no compute room"):
        check_fit(plan, term_days=30, contains_genomic=False)


def test_a_permanent_licence_is_not_offered_with_a_duty_to_delete() -> None:
    plan = read_plan({"kind": "buyout", "price_fen": 1})
    check_fit(plan, term_days=30, contains_genomic=False, duties={"mkt:reportUse"})
    with pytest.raises(PlanDoesNotFit, match="permanent licence"):
        check_fit(plan, term_days=30, contains_genomic=False, duties={"delete"})


@pytest.mark.parametrize(
    ("plan", "use"),
    [
        ({"kind": "per_call", "price_fen": 5}, 5),
        ({"kind": "hybrid", "price_fen": 5, "access_fen": 1, "measure": "use"}, 5),
        ({"kind": "hybrid", "price_fen": 5, "access_fen": 1, "measure": "case"}, 0),
        ({"kind": "per_scan", "price_fen": 5}, 0),
        ({"kind": "buyout", "price_fen": 5}, 0),
    ],
)
def test_only_a_plan_that_meters_uses_has_a_price_of_a_use(plan: dict[str, Any], use: int) -> None:
    assert price_of_use(plan) == Money(use)


def _tiers(steps: list[tuple[int, int]]) -> tuple[Tier, ...]:
    above, made = 0, []
    for step, price in steps:
        above += step
        made.append(Tier(above=above, price_fen=price))
    return tuple(made)


RATES = st.builds(
    Rate,
    measure=st.just("use"),
    quantum=st.sampled_from([1, 7, 3600]),
    price_fen=st.integers(0, 10_000),
    tiers=st.lists(st.tuples(st.integers(1, 40), st.integers(0, 10_000)), max_size=4).map(_tiers),
    volume=st.booleans(),
    minimum_fen=st.integers(0, 1000),
    cap_fen=st.none() | st.integers(0, 200_000),
    trial=st.integers(0, 50),
)
QUANTA = st.lists(st.integers(0, 400), max_size=12)


def _charged(found: Rate, quanta: list[int]) -> tuple[int, Month]:
    month, total = Month(), 0
    for one in quanta:
        charge = charge_of(found, month, one)
        assert charge.after.counted == month.counted + one - charge.free
        month, total = charge.after, total + charge.amount_fen
        assert charge.amount_fen >= 0
    return total, month


@given(RATES, QUANTA)
def test_no_plan_charges_above_its_cap(found: Rate, quanta: list[int]) -> None:
    total, month = _charged(found, quanta)
    assert total == month.charged_fen
    assert found.cap_fen is None or total <= found.cap_fen


@given(RATES, QUANTA)
def test_however_a_month_is_cut_into_uses_it_costs_the_same(found: Rate, quanta: list[int]) -> None:
    assert _charged(found, quanta) == _charged(found, [sum(quanta)])


@given(RATES, st.integers(0, 4000), st.integers(0, 4000))
def test_more_never_costs_less(found: Rate, units: int, more: int) -> None:
    assert gross(found, units) <= gross(found, units + more)


@given(RATES, st.integers(0, 4000))
def test_by_volume_nobody_pays_more_than_every_unit_at_the_tier_reached(found: Rate, units: int) -> None:
    edges = [found.price_fen, *(tier.price_fen for tier in found.tiers if units > tier.above * found.quantum)]
    if found.volume:
        assert gross(found, units) <= units * edges[-1] // found.quantum


@given(st.builds(dict, price_fen=st.integers(0, 10**6), trial_units=st.none() | st.integers(1, 9)))
def test_a_plan_read_from_data_prices_as_its_numbers_say(numbers: dict[str, Any]) -> None:
    plan = read_plan({"kind": "per_call"} | numbers)
    assert isinstance(plan, Metered)
    found = rate_of(plan)
    assert found is not None
    free = numbers["trial_units"] or 0
    assert charge_of(found, Month(), free + 3).amount_fen == 3 * numbers["price_fen"]
