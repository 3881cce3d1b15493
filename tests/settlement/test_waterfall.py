"""The waterfall divides a price to the fen: the parts always sum to it, cost first where the scheme says so."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from marketplace.costing.formulas import PriceSplit, split_price
from marketplace.costing.tariffs import tariff_book
from marketplace.settlement.postings import payment_rules
from marketplace.settlement.waterfall import FOLDER, NoSuchScheme, Scheme, divide, scheme, schemes
from tests.house import START


def split(price: int) -> PriceSplit:
    return split_price(price, tariff_book().terms(START))


def parts(price: int, name: str, unrecovered: int = 0) -> dict[str, int]:
    return {one.role: one.amount_fen for one in divide(split(price), scheme(name), unrecovered)}


def test_the_worked_example_is_divided_to_the_fen() -> None:
    assert parts(10_000_000, "report-example-v1") == {
        "tax": 566_038 + 67_925,
        "exchange_fee": 250_000,
        "operator": 2_734_811,
        "department": 1_823_207,
        "hospital": 4_558_019,
    }


def test_the_cost_is_repaid_before_anybody_shares() -> None:
    first = parts(10_000_000, "full-waterfall-v1", 11_500_000)
    assert set(first) == {"tax", "exchange_fee", "service_fee", "cost_recovery"}
    assert first["service_fee"] == 94_339  # 1 % of the price without VAT, rounded down
    second = parts(10_000_000, "full-waterfall-v1", 11_500_000 - first["cost_recovery"])
    assert second["cost_recovery"] == 11_500_000 - first["cost_recovery"]
    assert second["hospital"] > second["department"] > second["annotators"] > second["patient_benefit_fund"] > 0


def test_a_public_hospitals_part_goes_to_its_treasury() -> None:
    found = parts(10_000_000, "public-hospital-v1", 1_000_000)
    assert found["treasury_cost"] == 1_000_000
    assert found["treasury"] == round((9_116_037 - 1_000_000) * 0.7)
    assert "hospital" not in found


def test_where_nothing_was_agreed_the_provider_keeps_the_rest() -> None:
    assert parts(10_000_000, "provider-keeps-all-v1")["hospital"] == 9_116_037


def test_an_unknown_scheme_is_refused_and_published_ones_are_closed() -> None:
    with pytest.raises(NoSuchScheme):
        scheme("mine-v1")
    data = json.loads((FOLDER / "report-example-v1.json").read_text("utf-8"))
    for changed in (
        data | {"extra": 1},
        data | {"shares": data["shares"][:2]},
        data | {"shares": [*data["shares"], data["shares"][0]]},
        data | {"service_fee_per_mille": 900},
    ):
        with pytest.raises(ValidationError):
            Scheme.model_validate(changed)


def test_every_rule_of_payment_names_accounts_of_the_chart_and_balances_by_owner() -> None:
    assert set(payment_rules()) >= {"invoice.payment", "settlement.sale", "settlement.share", "invoice.refund"}


@given(st.integers(0, 10**12), st.sampled_from(sorted(schemes())), st.integers(0, 10**12))
def test_the_parts_always_sum_to_the_price(price: int, name: str, unrecovered: int) -> None:
    found = divide(split(price), scheme(name), unrecovered)
    assert sum(one.amount_fen for one in found) == price
    assert all(one.amount_fen > 0 for one in found)
    assert len({one.role for one in found}) == len(found)


@given(st.lists(st.integers(0, 10**8), max_size=8), st.integers(0, 10**8))
def test_no_more_cost_is_repaid_than_there_was(prices: list[int], cost: int) -> None:
    repaid = 0
    for price in prices:
        repaid += parts(price, "full-waterfall-v1", cost - repaid).get("cost_recovery", 0)
    assert repaid <= cost
