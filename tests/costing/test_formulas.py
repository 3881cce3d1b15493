"""Worked tables of break-even for the costs of the report's chest CT, and what must hold for every price."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.costing.formulas import (
    NothingIsKept,
    PriceSplit,
    Terms,
    break_even_sales,
    kept_share,
    net_of_sale,
    per_mille,
    price_for_sales,
    split_price,
    split_shares,
    sunk_cost,
    unit_cost,
)
from marketplace.costing.tariffs import tariff_book
from marketplace.kernel.money import round_half_up
from tests.costing.books import NOW

DIRECT = tariff_book().terms(NOW)
OPERATOR = tariff_book().terms(NOW, operator_per_mille=300)
F, M = 11_500_000, 200_000


def test_the_sunk_cost_of_the_example_is_115_000_yuan():
    assert sunk_cost(1000, 5500, 5_500_000, 500_000) == F


def test_the_kept_share_of_a_price_is_as_in_the_worked_table():
    assert round(float(kept_share(DIRECT)), 4) == 0.9116
    assert round(float(kept_share(OPERATOR)), 4) == 0.6286


@pytest.mark.parametrize(
    ("yuan", "direct", "operator"),
    [(20_000, 8, 11), (30_000, 5, 7), (50_000, 3, 4), (80_000, 2, 3), (100_000, 2, 2), (130_000, 1, 2)],
)
def test_sales_to_break_even_are_as_in_the_worked_table(yuan, direct, operator):
    assert break_even_sales(F, yuan * 100, M, DIRECT) == direct
    assert break_even_sales(F, yuan * 100, M, OPERATOR) == operator


@pytest.mark.parametrize(
    ("sales", "direct", "operator"),
    [
        (1, 128_345, 186_132),
        (2, 65_270, 94_657),
        (3, 44_244, 64_165),
        (5, 27_424, 39_772),
        (10, 14_809, 21_477),
        (20, 8_502, 12_329),
    ],
)
def test_prices_for_a_number_of_sales_are_as_in_the_worked_table_when_rounded_to_the_yuan(sales, direct, operator):
    assert round_half_up(Fraction(price_for_sales(F, sales, M, DIRECT), 100)) == direct
    assert round_half_up(Fraction(price_for_sales(F, sales, M, OPERATOR), 100)) == operator


def test_the_price_for_one_sale_is_rounded_up_to_the_fen():
    assert price_for_sales(F, 1, M, DIRECT) == 12_834_524


@pytest.mark.parametrize(
    ("scans", "sunk_yuan", "per_scan_yuan"),
    [(200, 71_000, 355), (500, 87_500, 175), (1000, 115_000, 115), (5000, 335_000, 67), (20_000, 1_160_000, 58)],
)
def test_the_cost_per_scan_falls_as_in_the_worked_table(scans, sunk_yuan, per_scan_yuan):
    sunk = sunk_cost(scans, 5500, 5_500_000, 500_000)
    assert sunk == sunk_yuan * 100
    assert unit_cost(sunk, scans) == per_scan_yuan * 100


def test_one_sale_at_100_000_leaves_the_asset_under_water():
    assert round_half_up((net_of_sale(10_000_000, M, DIRECT) - F) / 100) == -25_840
    assert round_half_up((net_of_sale(10_000_000, M, OPERATOR) - F) / 100) == -54_142


def test_a_price_of_100_000_splits_to_the_fen_as_in_the_worked_example():
    split = split_price(10_000_000, DIRECT)
    assert split == PriceSplit(price=10_000_000, vat=566_038, surcharge=67_925, exchange_fee=250_000)
    assert split.distributable == 9_116_037
    assert split_shares(split.distributable, [30, 20, 50]) == [2_734_811, 1_823_207, 4_558_019]


@given(st.integers(0, 10**13))
def test_the_parts_of_a_price_always_sum_to_the_price(price):
    split = split_price(price, DIRECT)
    assert split.vat + split.surcharge + split.exchange_fee + split.distributable == price
    assert split.net + split.vat == price
    assert min(split.vat, split.surcharge, split.exchange_fee, split.distributable) >= 0
    assert abs(split.distributable - price * kept_share(DIRECT)) < 2


@given(st.integers(0, 10**13), st.lists(st.integers(0, 1000), min_size=1, max_size=8).filter(sum))
def test_shares_always_sum_to_what_is_shared_and_are_off_by_less_than_a_fen(amount, weights):
    parts = split_shares(amount, weights)
    assert sum(parts) == amount
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(amount * weight, sum(weights))) < 1


@given(st.integers(1, 10**10), st.integers(1, 10**9), st.integers(0, 10**7), st.integers(0, 800))
def test_break_even_is_the_fewest_sales_that_earn_the_cost_back(sunk, price, marginal, operator):
    terms = tariff_book().terms(NOW, operator_per_mille=operator)
    net = net_of_sale(price, marginal, terms)
    sales = break_even_sales(sunk, price, marginal, terms)
    if net <= 0:
        assert sales is None
    else:
        assert sales is not None
        assert sales * net >= sunk > (sales - 1) * net


@given(st.integers(1, 10**10), st.integers(1, 500), st.integers(0, 10**7), st.integers(0, 800))
def test_the_price_for_n_sales_is_the_lowest_whole_fen_that_breaks_even_in_n(sunk, sales, marginal, operator):
    terms = tariff_book().terms(NOW, operator_per_mille=operator)
    price = price_for_sales(sunk, sales, marginal, terms)
    assert sales * net_of_sale(price, marginal, terms) >= sunk
    assert sales * net_of_sale(price - 1, marginal, terms) < sunk


def test_no_price_is_given_where_nothing_of_it_is_kept():
    greedy = Terms(vat=Fraction(0), surcharge=Fraction(0), exchange_fee=Fraction(1))
    with pytest.raises(NothingIsKept):
        price_for_sales(F, 1, M, greedy)
    with pytest.raises(NothingIsKept):
        split_price(100, Terms(Fraction(1), Fraction(1), Fraction(1)))
    with pytest.raises(NothingIsKept):
        split_price(-1, DIRECT)


def test_ratios_of_nothing_are_none():
    assert unit_cost(F, 0) is None
    assert per_mille(1, 0) is None
    assert per_mille(9_116_037, F) == 792
