"""An agreement's page shows what was billed and what a paid line was divided into; a listing shows its whole plan."""

from __future__ import annotations

import pytest

from marketplace.console.reader import Reader
from marketplace.console.views import card
from marketplace.exchange.catalogue import visible_listing
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.money import Money
from marketplace.negotiation import queries as negotiation
from marketplace.settlement import billing, paying, queries
from tests.console.conftest import Site
from tests.console.reading import Page
from tests.exchange.parts import listed, terms_of
from tests.house import House


@pytest.mark.parametrize(("language", "state"), [("en", "paid"), ("zh", "已付清")])
def test_an_agreements_page_shows_its_invoices_and_shares(site: Site, language: str, state: str) -> None:
    now = site.runtime.clock.now()
    with site.runtime.database.transaction() as db:
        agreement = negotiation.agreement(db, site.agreement)
        waiting = queries.to_bill(db, now)
        for issuer, buyer in waiting:
            exchange = Actor(issuer, frozenset({str(Role.EXCHANGE_OPERATOR)}))
            invoice = billing.issue(db, exchange, issuer, buyer, now)
            assert invoice is not None
            paying.pay(db, exchange, invoice, f"bank-{invoice.number}", invoice.total_fen, now)
        (line,) = [
            one
            for invoice in queries.invoices_of(db, Actor("any", frozenset({str(Role.AUDITOR)}))).rows
            for one in queries.lines(db, invoice.id)
            if one.agreement_id == agreement.id and one.kind == "sale.access"
        ]
        shares = queries.shares_of_line(db, line.id)
    page = Page(site.page(f"/agreements/{site.agreement}?lang={language}"))
    assert state in page.text
    assert "INV-20" in page.text
    for amount in (line.price_fen, *(one.amount_fen for one in shares)):
        assert f"{Money(amount).decimal:,.2f}" in page.text


def test_a_listing_says_its_whole_price_plan(house: House) -> None:
    plan = {"kind": "per_case", "price_fen": 5500, "monthly_cap_fen": 900_000}
    listing = listed(house, **terms_of("per-case/v1") | {"price_plan": plan})
    with house.db() as db:
        row = visible_listing(db, listing.id, house.clock.now())
        said = card(Reader(db, house.clock.now(), "en"), row)
    assert "each case" in said["plan"]
    assert "9,000.00" in said["plan"]
