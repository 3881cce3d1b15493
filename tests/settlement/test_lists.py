"""The lists of the books, read page by page: nothing twice and nothing left out, whatever moves meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from marketplace.client.lists import items
from marketplace.client.problem import ProblemError
from marketplace.main import ROUTERS
from marketplace.settlement.models import Payable
from marketplace.settlement.payables import queries
from tests.exchange.parts import certified
from tests.house import House, open_house
from tests.participants.small_market import Market, open_market
from tests.settlement.owing import everything, order
from tests.settlement.parts import bank, billed, pay, post, sold
from tests.settlement.test_bank import order as order_shares

NAMES = {
    "/v1/agreements": ("id",),
    "/v1/invoices": ("id",),
    "/v1/payables": ("meter_event", "part"),
    "/v1/payment-orders": ("id",),
    "/v1/refunds": ("id",),
}


@pytest.fixture
def traded(house: House) -> Iterator[Market]:
    """Three sales, each billed, paid a fen too much and paid out, and three costs of stages ordered one by one."""
    for who in ("hospital", "law_firm", "registrar", "exchange"):
        bank(house, who)
    for _ in range(3):
        sold(house)
        invoice = billed(house)
        pay(house, invoice, f"bank-{invoice.number}", invoice.total_fen + 1)
        order_shares(house)
    for one in everything(house)[:3]:
        order(house, "hospital", one.meter_event)
    with open_market(house, ROUTERS) as market:
        yield market


@pytest.mark.parametrize("path", list(NAMES))
def test_a_list_is_read_to_its_end_page_by_page_and_by_nobody_beyond_the_own_rows(traded: Market, path: str) -> None:
    read = {name: _keys(traded, name, path, 500) for name in ("hospital", "pharma", "exchange", "law_firm", "auditor")}
    assert len(read["auditor"]) >= 3
    assert len(set(read["auditor"])) == len(read["auditor"])
    assert all(set(own) <= set(read["auditor"]) for own in read.values())
    for name, whole in read.items():
        assert _keys(traded, name, path, 1) == _keys(traded, name, path, 2) == whole
    if path != "/v1/payables":
        newest = [traded.client("auditor").get(path, {"limit": 1})["items"][0]["id"]]
        assert newest == [max(key[0] for key in read["auditor"])], "the latest first"
    stranger = ":".join(str(part) for part in read["auditor"][0])
    for cursor in (stranger, "", "none", "mtr_x:none", f"{read['auditor'][0][0]}:{'9' * 30}"):
        with pytest.raises(ProblemError, match="not made by this list") as refused:
            traded.client("ai_company").get(path, {"cursor": cursor})
        assert refused.value.status == 422


def _keys(market: Market, name: str, path: str, limit: int) -> list[tuple[object, ...]]:
    return [tuple(one[part] for part in NAMES[path]) for one in items(market.client(name), path, {"limit": limit})]


def test_what_is_ordered_while_it_is_read_comes_once(tmp_path: Path, either_url: str) -> None:
    with open_house(tmp_path / "house", either_url) as house:
        for _ in range(2):
            certified(house)
        post(house)
        for who in ("hospital", "law_firm", "registrar"):
            bank(house, who)
        wanted, read = [one.meter_event for one in everything(house)], list[Payable]()
        cursor: str | None = None
        while len(read) < len(wanted):
            with house.runtime.database.reading() as db:
                page = queries.payables_of(db, house.cast["hospital"].actor, cursor=cursor, limit=1)
            read, cursor = [*read, *page.rows], page.next
            order(house, "hospital", read[-1].meter_event)
        assert [one.meter_event for one in read] == wanted
        assert cursor is None
        assert {one.state for one in read} == {"owed"}
        assert {one.state for one in everything(house)} == {"ordered"}
