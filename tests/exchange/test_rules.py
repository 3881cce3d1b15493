"""The listing machine, search terms and price plans."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from marketplace.exchange.pricing import (
    OneOff,
    PerUse,
    PlanDoesNotFit,
    Subscription,
    check_fit,
    describe,
    price_of_access,
    price_of_use,
    read_plan,
)
from marketplace.exchange.rules import LISTING, ListingState, index_terms, query_terms, singular, weigh
from marketplace.exchange.terms import CONTRACTS
from marketplace.kernel.actor import SERVICE, Role
from marketplace.kernel.money import Money
from marketplace.kernel.transitions import NotYourStep, WrongState

ALLOWED = {
    ("draft", "submitted"): {"provider"},
    ("returned", "submitted"): {"provider"},
    ("submitted", "in_review"): {"exchange_operator"},
    ("submitted", "returned"): {"exchange_operator"},
    ("in_review", "returned"): {"exchange_operator"},
    ("approved", "returned"): {"exchange_operator"},
    ("in_review", "approved"): {"exchange_operator"},
    ("approved", "approved"): {"exchange_operator"},
    ("approved", "listed"): {"exchange_operator"},
    ("listed", "suspended"): {"provider", "exchange_operator", "service"},
    ("suspended", "listed"): {"exchange_operator"},
    **{
        (state, "withdrawn"): {"provider", "exchange_operator"}
        for state in ("draft", "submitted", "in_review", "returned", "approved", "listed", "suspended")
    },
    **{(state, "forced_off"): {"exchange_operator"} for state in ("listed", "suspended", "withdrawn")},
    **{("forced_off", state): {"exchange_operator"} for state in ("listed", "suspended", "withdrawn")},
    ("withdrawn", "archived"): {"exchange_operator", "service"},
}
TARGET = {
    "deposit_fen": 0,
    "kpi": "sensitivity",
    "baseline_permille": 800,
    "target_permille": 900,
    "window_days": 90,
    "verifier": "prt_verifier",
}


@pytest.mark.parametrize(
    ("source", "target", "who"), list(itertools.product(ListingState, ListingState, [*map(str, Role), SERVICE]))
)
def test_a_listing_moves_only_as_the_table_says(source: ListingState, target: ListingState, who: str) -> None:
    allowed = ALLOWED.get((source.value, target.value))
    if allowed is None:
        with pytest.raises(WrongState):
            LISTING.step(source, target, [who])
    elif who not in allowed:
        with pytest.raises(NotYourStep):
            LISTING.step(source, target, [who])
    else:
        assert LISTING.step(source, target, [who]).target is target


def test_two_character_words_are_found_within_longer_runs() -> None:
    assert "肺癌" in index_terms("早期肺癌筛查CT影像")
    assert query_terms("肺癌") == ["肺癌"]
    assert query_terms("肺") == ["肺"]
    assert query_terms("肺癌筛查 CT") == ["ct", "癌筛", "筛查", "肺癌"]


@given(st.text(max_size=30), st.text(alphabet="肺癌影像数据", min_size=1, max_size=6), st.text(max_size=30))
def test_chinese_text_is_found_by_any_part_of_it(before: str, part: str, after: str) -> None:
    assert set(query_terms(part)) <= index_terms(before + part + after)


@given(st.text(max_size=40))
def test_a_text_is_found_by_itself(text: str) -> None:
    assert set(query_terms(text)) <= index_terms(text)


@pytest.mark.parametrize(
    ("word", "expected"),
    [("scans", "scan"), ("studies", "study"), ("masses", "mass"), ("boxes", "box"), ("virus", "virus"),
     ("diagnosis", "diagnosis"), ("ct", "ct"), ("mass", "mass"), ("images", "image"), ("gas", "gas")],
)  # fmt: skip
def test_simple_plurals_meet_their_singular(word: str, expected: str) -> None:
    assert singular(word) == expected
    assert singular(expected) == expected


def test_a_word_weighs_what_its_weightiest_field_does() -> None:
    assert weigh([("CT", 3), ("Chest CT scans", 8), ("scan", 1)]) == {"chest": 8, "ct": 8, "scan": 8}


PLANS = [
    ({"kind": "one_off", "price_fen": 100}, 100, 0),
    ({"kind": "per_use", "price_fen": 7, "access_fen": 3}, 3, 7),
    ({"kind": "per_use", "price_fen": 7}, 0, 7),
    ({"kind": "subscription", "price_fen": 50, "period_days": 30}, 50, 0),
]


@pytest.mark.parametrize(("plan", "access", "use"), PLANS)
def test_a_plan_answers_what_access_and_what_a_use_cost(plan: dict[str, Any], access: int, use: int) -> None:
    assert (price_of_access(plan), price_of_use(plan)) == (Money(access), Money(use))
    zh, en = describe(plan, "zh"), describe(plan, "en")
    assert f"{Money(access).decimal:,.2f}" in zh
    assert f"{Money(access).decimal:,.2f}" in en


@pytest.mark.parametrize(
    "plan",
    [
        {"kind": "auction", "price_fen": 1},
        {"kind": "one_off"},
        {"kind": "one_off", "price_fen": -1},
        {"kind": "one_off", "price_fen": 1.5},
        {"kind": "one_off", "price_fen": "1"},
        {"kind": "one_off", "price_fen": True},
        {"kind": "one_off", "price_fen": 1, "discount": 2},
        {"kind": "one_off", "price_fen": 1, "currency": "EUR"},
        {"kind": "one_off", "price_fen": 1, "regime": "free"},
        {"kind": "one_off", "price_fen": 11, "regime": "guided_cap", "cap_fen": 10},
        {"kind": "one_off", "price_fen": 1, "regime": "guided_cap"},
        {"kind": "one_off", "price_fen": 11, "regime": "cost_only", "cost_fen": 10},
        {"kind": "subscription", "price_fen": 1},
    ],
)
def test_a_plan_that_is_not_in_the_closed_kinds_is_refused(plan: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read_plan(plan)


def test_genomic_data_recovers_its_cost_only() -> None:
    market = read_plan({"kind": "one_off", "price_fen": 1})
    cost = read_plan({"kind": "one_off", "price_fen": 1, "regime": "cost_only", "cost_fen": 1})
    check_fit(market, term_days=1, contains_genomic=False)
    check_fit(cost, term_days=1, contains_genomic=True)
    with pytest.raises(PlanDoesNotFit):
        check_fit(market, term_days=1, contains_genomic=True)


def test_a_subscription_that_only_recovers_a_cost_has_no_trial() -> None:
    cost = {"kind": "subscription", "price_fen": 9, "period_days": 30, "regime": "cost_only", "cost_fen": 9}
    check_fit(read_plan(cost), term_days=30, contains_genomic=True)
    with pytest.raises(PlanDoesNotFit, match="not after a trial"):
        check_fit(read_plan(cost | {"trial_days": 7}), term_days=30, contains_genomic=False)


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        *((kind, {}) for kind in ("per_use", "per_call", "per_case", "per_scan", "per_gb")),
        ("hybrid", {"access_fen": 9, "measure": "case"}),
        ("results", TARGET),
    ],
)
def test_what_units_and_results_bring_later_does_not_recover_a_cost(kind: str, more: dict[str, Any]) -> None:
    plan = {"kind": kind, "price_fen": 9, "regime": "cost_only", "cost_fen": 9} | more
    with pytest.raises(PlanDoesNotFit, match="is a price of access"):
        check_fit(read_plan(plan), term_days=365, contains_genomic=True)


@pytest.mark.parametrize("name", ["access_fen", "monthly_minimum_fen"])
def test_a_price_that_is_free_or_capped_by_the_unit_has_nothing_due_beside_it(name: str) -> None:
    for regulated in ({"regime": "free", "price_fen": 0}, {"regime": "guided_cap", "price_fen": 5, "cap_fen": 5}):
        plan = {"kind": "per_use"} | regulated
        check_fit(read_plan(plan), term_days=30, contains_genomic=False)
        with pytest.raises(PlanDoesNotFit, match="nothing due beside"):
            check_fit(read_plan(plan | {name: 1}), term_days=30, contains_genomic=False)


def test_access_may_recover_its_cost_for_a_permanent_licence() -> None:
    cost = {"kind": "buyout", "price_fen": 9, "regime": "cost_only", "cost_fen": 9}
    check_fit(read_plan(cost), term_days=365, contains_genomic=True)


def test_a_subscription_lasts_one_period() -> None:
    plan = read_plan({"kind": "subscription", "price_fen": 1, "period_days": 30})
    check_fit(plan, term_days=30, contains_genomic=False)
    with pytest.raises(PlanDoesNotFit):
        check_fit(plan, term_days=365, contains_genomic=False)


@pytest.mark.parametrize(("name", "model"), [("one_off", OneOff), ("per_use", PerUse), ("subscription", Subscription)])
def test_published_price_plan_schemas_are_those_of_the_models(name: str, model: Any) -> None:
    written = json.loads((CONTRACTS / "price-plans" / f"{name}.schema.json").read_text("utf-8"))
    assert written == {"$schema": "https://json-schema.org/draft/2020-12/schema"} | model.model_json_schema()
