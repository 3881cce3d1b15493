"""The cost sheet: from the books alone, complete only when nothing waits."""

import pytest

from marketplace.costing.service import post_event
from marketplace.costing.sheet import Asked, cost_sheet
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.ledger.rules import ReversalReason
from marketplace.ledger.service import reverse
from tests.costing.books import NOW, meter_asset, meter_event, meter_sale, open_books, post_all

PRICES = (2_000_000, 5_000_000, 10_000_000)


@pytest.fixture
def books(tmp_path):
    with open_books(tmp_path) as database:
        yield database


def test_the_sheet_of_the_example_asset_is_as_in_the_report(books):
    with books.transaction() as db:
        post_all(db, meter_asset(db))
        sheet = cost_sheet(db, "ast_1", Asked(prices=PRICES), NOW)

    assert sheet.stages == {
        "collected": 0,
        "governed": 5_500_000,
        "assessed": 5_500_000,
        "certified": 500_000,
        "listed": 0,
    }
    assert (sheet.total_fen, sheet.records, sheet.unit_cost_fen) == (11_500_000, 1000, 11_500)
    assert sheet.break_even == {2_000_000: 8, 5_000_000: 3, 10_000_000: 2}
    assert list(sheet.price_for) == [1, 2, 3, 5, 10, 20]
    assert sheet.price_for[1] == 12_834_524
    assert sheet.recovered_per_mille == 0
    assert sheet.complete


def test_events_that_wait_make_the_sheet_incomplete_and_are_not_counted(books):
    with books.transaction() as db:
        first, *_ = meter_asset(db)
        post_event(db, first, NOW)
        sheet = cost_sheet(db, "ast_1", Asked(prices=PRICES, records=1000), NOW)

    assert sheet.total_fen == 5_500_000
    assert sheet.pending == {"legal.opinion": 1, "registration.certificate": 1}
    assert not sheet.complete


def test_a_sale_shows_what_was_charged_what_is_kept_and_how_much_is_recovered(books):
    with books.transaction() as db:
        post_all(db, [*meter_asset(db), meter_sale(db, 10_000_000)])
        # The buyer's own fee about the same asset is no cost or income of the asset.
        fee = meter_event(db, "exchange.buyer_fee", key="fee", payer="prt_pharma", payee="prt_exchange")
        post_event(db, fee, NOW)
        sheet = cost_sheet(db, "ast_1", Asked(prices=PRICES), NOW)

    assert (sheet.sales, sheet.revenue_fen, sheet.kept_fen) == (1, 10_000_000, 9_116_037)
    assert sheet.recovered_per_mille == 792
    assert sheet.unrecovered_fen == 11_500_000 - 9_116_037
    assert sheet.total_fen == 11_500_000


def test_other_assets_and_reversed_sales_do_not_show(books):
    with books.transaction() as db:
        post_all(db, [*meter_asset(db), *meter_asset(db, "ast_2")])
        sale = post_event(db, meter_sale(db, 10_000_000), NOW)
        reverse(db, SERVICE_ACTOR, sale.id, ReversalReason.CAUSE_CANCELLED, NOW)
        sheet = cost_sheet(db, "ast_1", Asked(prices=PRICES), NOW)

    assert (sheet.sales, sheet.revenue_fen, sheet.kept_fen) == (0, 0, 0)
    assert (sheet.records, sheet.total_fen) == (1000, 11_500_000)


def test_an_asset_without_events_has_an_empty_sheet(books):
    with books.transaction() as db:
        sheet = cost_sheet(db, "ast_none", Asked(prices=PRICES), NOW)
    assert (sheet.total_fen, sheet.unit_cost_fen, sheet.recovered_per_mille) == (0, None, None)


def test_a_price_below_the_marginal_cost_never_pays_back(books):
    with books.transaction() as db:
        post_all(db, meter_asset(db))
        sheet = cost_sheet(db, "ast_1", Asked(prices=[200_000], operator_per_mille=300), NOW)
    assert sheet.break_even == {200_000: None}
    assert sheet.assumptions.marginal_fen == 200_000
