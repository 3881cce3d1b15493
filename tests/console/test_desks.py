"""The desks say what the API says: directors, buyers, clerks and contributors, after sales by the real verbs."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

import pytest
from sqlmodel import select

from marketplace.assets.service import register
from marketplace.audit import documents
from marketplace.charging.preview import preview
from marketplace.console.codes import IMAGING
from marketplace.console.desks import codes, demand, invoice, negotiations, postings, purchases, shares
from marketplace.console.formats import plain_day
from marketplace.costing.behind import sources
from marketplace.costing.sheet import Asked, cost_sheet
from marketplace.costing.tariffs import tariff_book
from marketplace.exchange import catalogue
from marketplace.exchange.catalogue import Wanted
from marketplace.exchange.pricing import Month
from marketplace.ledger.models import LedgerTransaction
from marketplace.planning import board, director, queries
from marketplace.settlement import overview
from marketplace.settlement.document import invoice_pdf
from tests.console.reading import Page
from tests.console.trading import CAP_FEN, DESKS, EXCHANGE, HOSPITAL, Trade, yuan
from tests.governance.stage import REGISTRATION
from tests.settlement.parts import USE_FEN, billed, credit, lines, pay


def test_the_director_reads_the_figures_of_planning(trade: Trade) -> None:
    with trade.house.runtime.database.reading() as db:
        said = director.page(db, HOSPITAL, trade.house.clock.now())
    page = trade.page(DESKS["director"])
    totals = (said.total_fen, said.revenue_fen, said.kept_fen, said.unrecovered_fen, said.stop.cost_fen)
    parts = (said.stop.refund_fen, said.stop.lost_fen, said.stop.impairment_fen, said.risk.overdue_fen)
    assert all(fen > 0 for fen in (*totals, *parts))
    for fen in (*totals, *parts, *said.stop.sunk.values(), *(one.sheet.kept_fen for one in said.assets)):
        assert yuan(fen) in page.text
    for one in said.assets:
        assert f"/participants/{HOSPITAL}/assets/{one.asset.id}?lang=en" in page.addresses
    assert "Intangible asset" in page.text
    assert "no department named" in page.text
    assert "Example Kangyuan Pharma Co" in page.text


def test_the_director_reads_of_which_moment_the_page_is_and_what_has_paid_back_already(trade: Trade) -> None:
    now = trade.house.clock.now()
    with trade.house.runtime.database.reading() as db:
        said = director.page(db, HOSPITAL, now).assets
    met = [one for one in said if one.sheet.unrecovered_fen == 0]
    assert 0 < len(met) < len(said)
    english, chinese = (trade.page(DESKS["director"], lang=language).text for language in ("en", "zh"))
    assert f"As of {plain_day(now, 'en')}" in english
    assert f"截至 {plain_day(now, 'zh')}" in chinese
    # The moment stands on the page once: nothing pays back today.
    assert (english.count(plain_day(now, "en")), english.count(" paid back ")) == (1, len(met))
    assert "已回本" in chinese
    assert "已向需方计费（含税）" in chinese
    assert "已收费用" not in chinese  # what was charged is not what was received


def test_an_assets_page_simulates_what_is_asked_and_says_how_it_is_amortised(trade: Trade) -> None:
    with trade.house.runtime.database.reading() as db:
        asset = queries.assets(db, HOSPITAL)[0]
        assumed = director.Assumed(
            director.Range(3_000_000, 4_000_000), director.Range(2, 3), director.Range(100, 200), 50
        )
        said = director.outlook(db, asset.id, assumed, trade.house.clock.now(), seed=7, runs=1000)
    asked = {"price_low": 30_000, "price_high": 40_000, "sales_low": 2, "sales_high": 3}
    asked |= {"operator_low": 10, "operator_high": 20, "cost_spread": 5, "seed": 7}
    page = trade.page(f"/participants/{HOSPITAL}/assets/{asset.id}", **asked)
    for fen in (said.worst, said.middle, said.best, said.drawn.mean, *said.drawn.percentiles.values()):
        assert yuan(fen) in page.text
    for one in said.sensitivities:
        assert yuan(one.swing) in page.text
    assert {str(one["value"]) for one in page.named("input")} >= {str(value) for value in asked.values()}
    for words in ("Intangible asset", "written off over", "Sales needed to earn back", "Price needed"):
        assert words in page.text
    assert page.named("rect")


def test_every_amount_of_an_asset_is_followed_to_its_postings_and_their_entries(
    trade: Trade, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postings, "LINES", 3)
    with trade.house.runtime.database.reading() as db:
        asset = queries.assets(db, HOSPITAL)[0].id
        sheet = cost_sheet(db, asset, Asked(), trade.house.clock.now())
        found = sources(db, asset, limit=1000).rows
        moved = {one.kind for one in db.exec(select(LedgerTransaction).where(LedgerTransaction.asset == asset))}
    assert sum(one.cost_fen for one in found) == sheet.total_fen > 0
    assert sum(one.revenue_fen for one in found) == sheet.revenue_fen > 0
    assert sum(one.kept_fen for one in found) == sheet.kept_fen > 0
    assert {one.transaction.kind for one in found} < moved  # a payment is about it and is no figure of its sheet
    address, asked = f"/participants/{HOSPITAL}/assets/{asset}/postings", dict[str, str]()
    assert f"{address}?lang=en" in trade.page(f"/participants/{HOSPITAL}/assets/{asset}").addresses
    read: list[str] = []
    while True:
        page = trade.page(address, **asked)
        assert all(yuan(fen) in page.text for fen in (sheet.total_fen, sheet.revenue_fen, sheet.kept_fen))
        read += [urlsplit(one).path for one in page.addresses if one.startswith("/entries/")]
        onward = [one for one in page.addresses if "postings?cursor=" in one]
        if not onward:
            break
        asked = dict(parse_qsl(urlsplit(onward[0]).query))
    proven = [(one.transaction.entry_id, one.transaction.posting_entry_id) for one in found]
    assert read == [f"/entries/{entry}" for both in proven for entry in both]


def test_an_asset_that_has_only_been_registered_has_a_page_and_pays_nothing_back(trade: Trade) -> None:
    new = REGISTRATION.model_copy(update={"name_en": "Registered today"})
    with trade.house.runtime.database.transaction() as db:
        asset = register(db, trade.house.cast["hospital"].actor, new, trade.house.clock.now()).id
    with trade.house.runtime.database.reading() as db:
        (line,) = (one for one in director.page(db, HOSPITAL, trade.house.clock.now()).assets if one.asset.id == asset)
    assert (line.sheet.total_fen, line.payback_at) == (0, None)
    address = f"/participants/{HOSPITAL}/assets/{asset}"
    assert f"{address}?lang=en" in trade.page(DESKS["director"]).addresses
    assert "Registered today" in trade.page(address).text


@pytest.mark.parametrize(
    "asked",
    [
        {"price_low": "2", "price_high": "1"},
        {"seed": "x"},
        {"seed": "-1"},
        {"sales_high": "9" * 30},
        {"operator_high": "81"},
        {"cost_spread": "101"},
    ],
)
def test_numbers_that_cannot_be_used_are_told_on_a_page(trade: Trade, asked: dict[str, str]) -> None:
    with trade.house.runtime.database.reading() as db:
        asset = queries.assets(db, HOSPITAL)[0].id
    answer = trade.browser.get(f"/participants/{HOSPITAL}/assets/{asset}", params=asked | {"lang": "en"})
    assert answer.status_code == 422
    assert "no range may end before it begins" in Page(answer.text).text


def test_a_buyer_reads_counters_charges_to_come_invoices_and_whose_move_it_is(trade: Trade) -> None:
    page = trade.page(DESKS["purchases"])
    with trade.house.runtime.database.reading() as db:
        now, buyer = trade.house.clock.now(), trade.house.cast["pharma"].actor
        to_come = overview.to_come(db, buyer, now, limit=100)
    assert trade.paid is not None
    assert trade.unpaid is not None
    assert len(to_come) == 3  # the third access and one use under each of the first two
    assert yuan(sum(one.price_fen for one in to_come)) in page.text
    assert yuan(trade.unpaid.total_fen) in page.text
    # The third contract counts by the month; a use within its cap costs what the plan says.
    assert "RMB 0.00 0 cases" in page.text
    assert yuan(CAP_FEN) in page.text
    assert yuan(USE_FEN) in page.text
    for one in (trade.paid, trade.unpaid):
        assert one.number in page.text
        assert f"/invoices/{one.id}?lang=en" in page.addresses
        assert f"/invoices/{one.id}/invoice.pdf?lang=en" in page.addresses
    assert "Negotiations" in page.text


def test_every_published_tariff_is_named_in_words() -> None:
    for one in (published.tariff for published in tariff_book().published):
        assert one.kind in codes.TARIFFS.keys() & codes.TARIFF_UNITS.keys()
        assert set(one.applies_to.values()) <= IMAGING.keys() | codes.HOSPITAL_LEVELS.keys()


def test_an_invoice_leads_from_each_line_to_its_proof_and_its_file_is_that_of_the_api(
    trade: Trade, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trade.unpaid is not None
    page = trade.page(f"/invoices/{trade.unpaid.id}")
    billed_lines = lines(trade.house, trade.unpaid)
    assert len(billed_lines) == 3
    for one in billed_lines:
        assert yuan(one.price_fen) in page.text
        for entry in (one.entry_id, one.posting_entry_id):
            assert f"/entries/{entry}?lang=en" in page.addresses
    assert "Further lines" not in page.text
    monkeypatch.setattr(invoice, "LINES", 2)
    first = trade.page(f"/invoices/{trade.unpaid.id}")
    (further,) = [one for one in first.addresses if "after=" in one]
    assert further == f"/invoices/{trade.unpaid.id}?after={billed_lines[1].position}&lang=en#after"
    last = Page(trade.browser.get(further).text)
    proofs = [
        {one.id for one in billed_lines if f"/entries/{one.entry_id}?lang=en" in each.addresses}
        for each in (first, last)
    ]
    assert proofs == [{one.id for one in some} for some in (billed_lines[:2], billed_lines[2:])]
    answer = trade.browser.get(f"/invoices/{trade.unpaid.id}/invoice.pdf")
    with trade.house.runtime.database.reading() as db:
        content = documents.content(db, trade.unpaid.document)
    assert answer.content == invoice_pdf(content, trade.unpaid.document)
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["cache-control"] == "no-store"


def test_a_clerk_reads_what_is_billed_open_overdue_and_divided(trade: Trade) -> None:
    page = trade.page(DESKS["sales"])
    with trade.house.runtime.database.reading() as db:
        unpaid, overdue = queries.unpaid(db, HOSPITAL, trade.house.clock.now())
        there = overview.shares_summed(db, trade.house.cast["hospital"].actor, limit=100)
    assert unpaid == overdue > 0
    assert yuan(overdue) in page.text
    for number in (trade.paid, trade.unpaid):
        assert number is not None
        assert number.number in page.text
    assert {one.role for one in there} >= {"tax", "exchange_fee", "service_fee", "cost_recovery"}
    for role in {one.role for one in there}:
        assert yuan(sum(one.amount_fen for one in there if one.role == role)) in page.text
    assert "Revenue from data access" in page.text
    assert "No month has been closed." in page.text
    issued = trade.page(DESKS["issued"])
    assert "Example Kangyuan Pharma Co" in issued.text
    assert yuan(trade.unpaid.total_fen if trade.unpaid else 0) in issued.text


def test_contributors_read_their_share_and_what_waits(trade: Trade) -> None:
    page = trade.page(DESKS["shares"])
    with trade.house.runtime.database.reading() as db:
        there = overview.shares_summed(db, trade.house.cast["hospital"].actor, limit=100)
    for one in there:
        assert yuan(one.amount_fen) in page.text
    own = sum(one.amount_fen for one in there if one.owner == HOSPITAL)
    parts = sum(one.amount_fen for one in there if one.owner.startswith(f"{HOSPITAL}:"))
    assert own > 0
    assert parts > 0
    for name in ("shares", "sales"):  # one word, one figure
        text = trade.page(DESKS[name]).text
        assert f"Own share {yuan(own)}" in text
        assert f"Share of departments and others of this house {yuan(parts)}" in text
    for words in ("cost repaid", "Example Data Exchange Ltd", "In payment orders", "Waiting"):
        assert words in page.text
    (kept,) = (one for one in there if one.role == "exchange_fee" and one.asset == there[0].asset)
    assert (kept.owner, kept.amount_fen > 0, kept.waiting_fen) == (EXCHANGE, True, 0)  # the exchange has it already
    assert all(one.waiting_fen == one.amount_fen - one.ordered_fen for one in there if one.role != "exchange_fee")
    other = trade.page("/participants/prt_institute/shares")
    assert "No sale has been paid yet" in other.text
    assert not re.search(r"RMB [1-9]", other.text)


def test_a_listing_says_what_a_planned_use_would_cost_before_anybody_asks(trade: Trade) -> None:
    with trade.house.runtime.database.reading() as db:
        now = trade.house.clock.now()
        row = next(
            one for one in catalogue.visible(db, now, Wanted()).rows if one.offer.price_plan["kind"] == "per_case"
        )
        said = preview(row.offer.price_plan, Month(), 200, now)
    page = trade.page(f"/listings/{row.listing.id}", quantity=200)
    assert said.charge.capped
    for fen in (said.charge.amount_fen, said.access_fen, said.buyer_fee_fen):
        assert yuan(fen) in page.text
    assert yuan(said.charge.amount_fen + said.access_fen + said.buyer_fee_fen) in page.text
    assert "How much: 200 cases" in page.text
    assert "the monthly cap makes it cheaper" in page.text
    (most,) = {str(one["max"]) for one in page.named("input") if one.get("name") == "quantity"}
    assert f"How much: {int(most):,} cases" in trade.page(f"/listings/{row.listing.id}", quantity=most).text
    for strange in ("-1", "x", "9" * 40, "1e9", "🗝", str(int(most) + 1)):
        assert "How much: 1 cases" in trade.page(f"/listings/{row.listing.id}", quantity=strange).text


def test_the_board_and_the_matches_say_why_a_listing_does_not_fit(
    trade: Trade, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = board.mentions()
    page = trade.page(DESKS["demand"])
    assert f"{told.mentions['medical_service']:,} / {told.total:,}" in page.text
    assert "a third party's figures" in page.text
    assert told.source in page.text
    assert f"/demand/{trade.demand}?lang=en" in page.addresses
    matches = trade.page(f"/demand/{trade.demand}")
    assert "Next page" not in matches.text
    monkeypatch.setattr(demand, "LISTINGS", 1)
    assert _listings_page_by_page(trade, f"/demand/{trade.demand}") == _listings(matches)
    for words in ("does not fit", "asked: MR; there: CT", "asked: CNY 1.00; there: CNY 50,000.00"):
        assert words in matches.text
    assert not re.search(r"/permission|model_[a-z]+|product_", matches.text)


def _listings_page_by_page(trade: Trade, address: str) -> set[str]:
    found = set[str]()
    for page in trade.pages(address, "cursor"):
        assert "This page judges 1 listings" in page.text
        (one,) = _listings(page)
        assert one not in found
        found.add(one)
    return found


def _listings(page: Page) -> set[str]:
    return {one.partition("?")[0] for one in page.addresses if one.startswith("/listings/")}


def test_contributors_are_read_page_by_page_the_largest_first(trade: Trade, monkeypatch: pytest.MonkeyPatch) -> None:
    hospital = trade.house.cast["hospital"].actor
    with trade.house.runtime.database.reading() as db:
        everything = overview.shares_summed(db, hospital, limit=100)
    monkeypatch.setattr(shares, "CONTRIBUTORS", 1)
    pages = list(trade.pages(DESKS["shares"], "cursor"))
    assert len(pages) == len(everything) > 2
    for one, page in zip(everything, pages, strict=True):
        assert yuan(one.amount_fen) in page.text
    own = sum(one.amount_fen for one in everything if one.owner == HOSPITAL)
    assert all(f"Own share {yuan(own)}" in page.text for page in pages), "the figures on top are of all shares"
    with trade.house.runtime.database.reading() as db:
        seen, last = list[overview.Summed](), None
        while part := overview.shares_summed(db, hospital, limit=2, after=last):
            seen, last = [*seen, *part], part[-1].cursor
    assert seen == everything
    strange = trade.browser.get(DESKS["shares"], params={"cursor": "AA", "lang": "en"})
    assert strange.status_code == 422


def test_the_figures_on_top_count_what_was_paid_in_part_and_what_the_tables_leave_out(
    trade: Trade, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trade.unpaid is not None
    part = 123_456
    pay(trade.house, trade.unpaid, "bank-part", part)
    with trade.house.runtime.database.reading() as db:
        now, buyer = trade.house.clock.now(), trade.house.cast["pharma"].actor
        to_come = overview.to_come(db, buyer, now, limit=100)
        billed_here = sum(one.price_fen for one in lines(trade.house, trade.unpaid) if one.provider_id == HOSPITAL)
        unpaid = billed_here - billed_here * part // trade.unpaid.total_fen
        assert queries.unpaid(db, HOSPITAL, now) == (unpaid, unpaid)
    for name in ("CONTRACTS", "CHARGES", "INVOICES"):
        monkeypatch.setattr(purchases, name, 1)
    monkeypatch.setattr(negotiations, "MOST", 1)
    text = trade.page(DESKS["purchases"]).text
    left = trade.unpaid.total_fen - part
    for words in (
        "Contracts that run 3",
        f"Charges to come {yuan(sum(one.price_fen for one in to_come))}",
        f"To pay {yuan(left)}",
        f"Overdue {yuan(left)}",
    ):
        assert words in text
    paid_so_far = trade.page(f"/invoices/{trade.unpaid.id}")
    assert f"Paid so far {yuan(part)}" in paid_so_far.text


def test_after_a_credit_note_and_a_payment_the_desks_say_what_was_taken_back_and_who_got_the_rest(trade: Trade) -> None:
    assert trade.unpaid is not None
    note = credit(trade.house, trade.unpaid, {lines(trade.house, trade.unpaid)[-1].position})
    pay(trade.house, trade.unpaid, "bank-2")
    pay(trade.house, billed(trade.house), "bank-3")
    billed_page = trade.page(f"/invoices/{trade.unpaid.id}")
    for words in (note.number, "credit note", yuan(note.total_fen)):
        assert words in billed_page.text
    taken_back = trade.page(f"/invoices/{note.id}")
    assert f"/invoices/{trade.unpaid.id}?lang=en" in taken_back.addresses
    assert yuan(USE_FEN) in taken_back.text
    assert f"Overdue {yuan(0)}" in trade.page(DESKS["purchases"]).text
    assert trade.page(DESKS["purchases"]).text.count("credit note") == 1
    divided = trade.page(DESKS["shares"]).text
    for words in ("department department", "annotators annotators", "Example Data Space Operations Ltd operator"):
        assert words in divided  # who gets it, and in which role
    operator = trade.page("/participants/prt_operator/shares").text
    assert "operator" in operator
    assert "department" not in operator
    hospital = trade.house.cast["hospital"].actor
    with trade.house.runtime.database.reading() as db:
        made_by = overview.of_departments(db, hospital)
        roles = overview.divided(db, hospital).by_role
    assert {(one.department, one.role): one.amount_fen for one in made_by} == {
        ("", role): roles[role] for role in ("department", "annotators")
    }
    assert "By department" in divided
    assert f"annotators 1 {yuan(roles['annotators'])}" in divided
    assert "By department" not in operator
