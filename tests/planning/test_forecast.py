"""Forecasts: the worked figures of the report's example, and what must hold for every range and seed."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.costing.formulas import break_even_sales
from marketplace.costing.tariffs import tariff_book
from marketplace.planning.forecast import (
    LARGEST_WAIT,
    Case,
    EmptyRange,
    Range,
    Ranges,
    payback_date,
    result,
    sensitivities,
    simulate,
)
from tests.costing.books import NOW

TERMS = tariff_book().terms(NOW)
F, M = 11_500_000, 200_000
EXAMPLE = Ranges(Range(2_000_000, 13_000_000), Range(0, 6), Range(0, 300), Range(F, F))


@st.composite
def ranges(draw):
    def between(largest):
        low = draw(st.integers(0, largest))
        return Range(low, draw(st.integers(low, largest)))

    return Ranges(between(10**9), between(1000), between(800), between(10**9))


def test_one_sale_at_100_000_yuan_ends_as_in_the_worked_table():
    direct, shared = (result(Case(10_000_000, 1, operator, F), M, TERMS) for operator in (0, 300))
    assert (round(direct / 100), round(shared / 100)) == (-25_840, -54_142)


@pytest.mark.parametrize(("yuan", "direct", "shared"), [(20_000, 8, 11), (50_000, 3, 4), (130_000, 1, 2)])
def test_a_case_turns_from_loss_to_gain_at_the_sales_of_the_worked_table(yuan, direct, shared):
    for operator, sales in ((0, direct), (300, shared)):
        assert result(Case(yuan * 100, sales, operator, F), M, TERMS) >= 0
        assert result(Case(yuan * 100, sales - 1, operator, F), M, TERMS) < 0


@given(price=st.integers(1, 10**9), more=st.integers(0, 10**9), sunk=st.integers(0, 10**10))
def test_a_higher_price_never_needs_more_sales(price, more, sunk):
    needed, then = (break_even_sales(sunk, one, M, TERMS) for one in (price, price + more))
    assert needed is None or (then is not None and then <= needed)


@given(asked=ranges(), seed=st.integers(0, 2**53))
def test_the_same_seed_gives_the_same_answer_between_worst_and_best(asked, seed):
    drawn = simulate(asked, M, TERMS, seed=seed, runs=40)
    assert drawn == simulate(asked, M, TERMS, seed=seed, runs=40)
    ordered = list(drawn.percentiles.values())
    assert ordered == sorted(ordered)
    # Without a gain on a sale more sales bring less, so only ranges that earn have their best at the most sales.
    if result(replace(asked.end(good=False), sales=1, cost=0), M, TERMS) >= 0:
        assert result(asked.end(good=False), M, TERMS) <= ordered[0]
        assert ordered[-1] <= result(asked.end(good=True), M, TERMS)


def test_another_seed_draws_other_futures():
    assert simulate(EXAMPLE, M, TERMS, seed=1, runs=200) != simulate(EXAMPLE, M, TERMS, seed=2, runs=200)


def test_the_share_of_losses_is_counted_from_the_cases():
    certain_loss = Ranges(Range(100, 100), Range(1, 9), Range(0, 0), Range(F, F))
    certain_gain = Ranges(Range(F * 2, F * 3), Range(1, 9), Range(0, 0), Range(F, F))
    assert simulate(certain_loss, M, TERMS, seed=7, runs=100).loss_per_mille == 1000
    assert simulate(certain_gain, M, TERMS, seed=7, runs=100).loss_per_mille == 0


@given(asked=ranges())
def test_every_factor_is_varied_alone_and_the_largest_swing_stands_first(asked):
    found = sensitivities(asked, M, TERMS)
    assert {one.factor for one in found} == {"price", "sales", "operator", "cost"}
    assert [one.swing for one in found] == sorted((one.swing for one in found), reverse=True)
    cost = next(one for one in found if one.factor == "cost")
    assert abs(cost.swing - (asked.cost.high - asked.cost.low)) <= 1


def test_a_range_that_ends_before_it_begins_is_refused():
    with pytest.raises(EmptyRange):
        Range(2, 1)


def test_half_the_cost_in_ten_days_pays_back_in_ten_more():
    assert payback_date(500, 500, NOW - timedelta(days=10), NOW) == NOW + timedelta(days=10)


def test_what_is_earned_back_is_paid_back_now_and_without_income_never():
    assert payback_date(0, 0, None, NOW) == NOW
    assert payback_date(500, 0, NOW - timedelta(days=10), NOW) is None
    assert payback_date(500, 500, None, NOW) is None
    assert payback_date(10**12, 1, NOW - timedelta(days=10), NOW) is None


@given(rest=st.integers(1, 10**12), kept=st.integers(1, 10**12), days=st.integers(1, 3650))
def test_more_income_never_pays_back_later(rest, kept, days):
    since = NOW - timedelta(days=days)
    slower, faster = (payback_date(rest, one, since, NOW) for one in (kept, kept * 2))
    assert slower is None or (faster is not None and NOW < faster <= slower <= NOW + LARGEST_WAIT)
