"""The lists of the desks are read page by page by their links, each for itself."""

from __future__ import annotations

from datetime import timedelta
from types import ModuleType
from urllib.parse import parse_qsl, urlsplit

import pytest
from fastapi.testclient import TestClient

from marketplace.console.desks import demand, negotiations, purchases, sales
from marketplace.main import create_app
from marketplace.negotiation import queries as negotiation
from marketplace.settlement import queries as settlement
from tests.console.trading import DESKS, Trade, demanded
from tests.house import House

LISTS = [
    ("purchases", "agreements", purchases, "CONTRACTS", "pharma"),
    ("purchases", "invoices", purchases, "INVOICES", "pharma"),
    ("purchases", "negotiations", negotiations, "MOST", "pharma"),
    ("sales", "negotiations", negotiations, "MOST", "hospital"),
    ("issued", "invoices", sales, "INVOICES", "exchange"),
]
"""Desk, list of it, where and how it is said how many rows a page has, and whose desk it is."""


def _rows_of(trade: Trade, name: str, who: str) -> int:
    actor = trade.house.cast[who].actor
    with trade.house.runtime.database.reading() as db:
        if name == "invoices":
            return len(settlement.invoices_of(db, actor).rows)
        if name == "agreements":
            return len(negotiation.agreements_of(db, actor).rows)
        return len(negotiation.request_page(db, actor).rows)


@pytest.mark.parametrize(("desk", "name", "module", "most", "who"), LISTS)
def test_a_list_of_a_desk_is_read_page_by_page_to_its_end_and_back_to_its_first(
    trade: Trade, monkeypatch: pytest.MonkeyPatch, desk: str, name: str, module: ModuleType, most: str, who: str
) -> None:
    count = _rows_of(trade, name, who)
    whole = trade.page(DESKS[desk]).rows(name)
    assert len(whole) == count > 1
    monkeypatch.setattr(module, most, 1)
    pages = list(trade.pages(DESKS[desk], name))
    assert [page.rows(name) for page in pages] == [[row] for row in whole]
    first = [str(one["href"]) for one in pages[-1].named("a") if (one.get("aria-label") or "").endswith(": First page")]
    assert first == [f"{DESKS[desk]}?lang=en#{name}"]
    assert "First page" not in pages[0].text
    strange = trade.browser.get(DESKS[desk], params={name: "none", "lang": "en"})
    assert strange.status_code == 422


def test_demands_are_read_page_by_page_the_latest_first(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    titles = [f"demand number {number}" for number in range(3)]
    for one in titles:
        demanded(house, one)
        house.clock.advance(timedelta(minutes=1))
    monkeypatch.setattr(demand, "DEMANDS", 2)
    with TestClient(create_app(house.runtime), headers={"accept": "text/html"}) as browser:
        pages = list(Trade(house, browser).pages("/demand", "cursor"))
    read = [[row[: len(titles[0])] for row in page.rows("cursor")] for page in pages]
    assert read == [titles[:0:-1], titles[:1]]


def test_the_other_lists_of_a_desk_stay_where_they_are(trade: Trade, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purchases, "CONTRACTS", 1)
    monkeypatch.setattr(purchases, "INVOICES", 1)
    _, second, *_ = trade.pages(DESKS["purchases"], "agreements")
    contract = second.rows("agreements")
    (begun,) = {
        dict(parse_qsl(urlsplit(str(one["href"])).query))["agreements"]
        for one in second.named("a")
        if one.get("rel") == "next" and str(one["href"]).endswith("#invoices")
    }
    pages = list(trade.pages(DESKS["purchases"], "invoices", agreements=begun))
    assert len(pages) == _rows_of(trade, "invoices", "pharma")
    assert all(page.rows("agreements") == contract for page in pages)
