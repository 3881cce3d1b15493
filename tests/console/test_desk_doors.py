"""A desk is closed where anything real is on it, opens to its owner's key, and costs the same for more sales."""

from __future__ import annotations

import pytest
from sqlalchemy import update
from sqlmodel import col

from marketplace.assets.models import Asset
from marketplace.client.api import ApiClient, in_process
from marketplace.client.pages import own_page
from marketplace.client.problem import ProblemError
from marketplace.console.desks import purchases
from marketplace.console.frame import STATIC
from marketplace.main import create_app
from marketplace.participants.models import Participant
from tests.console.reading import Page
from tests.console.trading import DESKS, EXCHANGE, HOSPITAL, PHARMA, Trade
from tests.exchange.parts import listed
from tests.house import unrecorded


@pytest.mark.parametrize("strange", ["x" * 400, "🗝", "%", "prt_hospital'--", "prt_none"])
def test_a_strange_name_in_an_address_finds_nothing(trade: Trade, strange: str) -> None:
    for address in (
        f"/participants/{strange}/director",
        f"/participants/{HOSPITAL}/assets/{strange}",
        f"/participants/{strange}/purchases",
        f"/invoices/{strange}",
        f"/invoices/{strange}/invoice.pdf",
        f"/demand/{strange}",
    ):
        answer = trade.browser.get(address)
        assert answer.status_code == 404, address
        assert answer.headers["content-type"].startswith("text/html")


def test_a_page_takes_no_more_statements_for_more_sales(trade: Trade, monkeypatch: pytest.MonkeyPatch) -> None:
    # Names are read together, and only where a section has some: that is all that may come on top.
    for name, count in trade.late.items():
        assert name == "purchases" or count <= trade.early[name] + 2, name
    assert max(trade.late.values()) <= 30
    # A contract in force takes some statements for its counters, and a page shows a fixed number of contracts.
    monkeypatch.setattr(purchases, "CONTRACTS", 1)
    assert trade.statements()["purchases"] <= trade.early["purchases"] + 2


def test_one_real_party_among_the_invented_closes_the_desks_that_deal_with_it(trade: Trade) -> None:
    closed = [*DESKS.values(), f"/invoices/{trade.unpaid.id if trade.unpaid else ''}"]
    closed.remove(DESKS["tariffs"])
    for table, row in ((Participant, PHARMA), (Asset, None)):
        with unrecorded(trade.house.runtime) as db:
            changed = update(table).values(is_example=False)
            db.exec(changed if row is None else changed.where(col(Participant.id) == row))
        try:
            still_open = {one for one in closed if trade.browser.get(one).status_code != 404}
            # What is looked for names buyers and no asset of theirs.
            assert still_open == ({DESKS["demand"]} if table is Asset else set())
        finally:
            with unrecorded(trade.house.runtime) as db:
                db.exec(update(table).values(is_example=True))
    assert trade.page(DESKS["director"]).text


def test_a_desk_has_the_pages_of_its_owners_roles(trade: Trade) -> None:
    for owner, page in ((PHARMA, "sales"), (PHARMA, "director"), (HOSPITAL, "purchases"), (EXCHANGE, "purchases")):
        assert trade.browser.get(f"/participants/{owner}/{page}").status_code == 404, (owner, page)
    assert trade.browser.get(f"/participants/{PHARMA}/shares").status_code == 200


def test_who_vouched_for_a_real_asset_has_no_open_desk(trade: Trade) -> None:
    # Nobody asked for this one: no contract, invoice or share is about it.
    asset, vouching = listed(trade.house).asset_id, ("prt_law_firm", "prt_registrar", EXCHANGE)
    desks = [f"/participants/{one}/shares" for one in vouching]
    assert [trade.browser.get(one).status_code for one in desks] == [200] * 3
    with unrecorded(trade.house.runtime) as db:
        db.exec(update(Asset).where(col(Asset.id) == asset).values(is_example=False))
    try:
        assert [trade.browser.get(one).status_code for one in desks] == [404] * 3
    finally:
        with unrecorded(trade.house.runtime) as db:
            db.exec(update(Asset).values(is_example=True))


def test_a_member_reads_an_invented_invoice_as_anybody_does_and_a_hidden_one_looks_like_none(trade: Trade) -> None:
    base = trade.house.runtime.settings.public_url
    firm = trade.house.cast["law_firm"]
    assert trade.unpaid is not None
    with in_process(create_app(trade.house.runtime), base) as http:
        client = ApiClient(http, base, firm.id, firm.key, trade.house.clock)
        for ending in ("", "/invoice.pdf"):
            assert client.get_bytes(f"/invoices/{trade.unpaid.id}{ending}")
        with unrecorded(trade.house.runtime) as db:
            db.exec(update(Participant).where(col(Participant.id) == PHARMA).values(is_example=False))
        try:
            said = []
            for name in (trade.unpaid.id, "inv_none"):
                with pytest.raises(ProblemError) as refused:
                    client.get_bytes(f"/invoices/{name}")
                said.append((refused.value.status, refused.value.slug))
                assert trade.browser.get(f"/invoices/{name}").status_code == 404
            assert said == [(404, "no-such-invoice")] * 2
        finally:
            with unrecorded(trade.house.runtime) as db:
                db.exec(update(Participant).values(is_example=True))


def test_a_real_party_reads_its_own_desk_with_its_key_and_nobody_elses(trade: Trade) -> None:
    hospital, base = trade.house.cast["hospital"], trade.house.runtime.settings.public_url
    with unrecorded(trade.house.runtime) as db:
        db.exec(update(Participant).values(is_example=False))
    try:
        with in_process(create_app(trade.house.runtime), base) as http:
            client = ApiClient(http, base, hospital.id, hospital.key, trade.house.clock)
            page = Page(own_page(client, "director", "zh").decode())
            assert page.named("html") == [{"lang": "zh-CN"}]
            # What leads to the page itself, its other language and its forms, is read against the base.
            assert page.named("base") == [{"href": f"{base}{DESKS['director']}"}]
            asset = next(one for one in page.addresses if "/assets/" in one).partition("?")[0]
            asked = Page(own_page(client, f"{asset}?seed=77&price_low=31", "zh").decode())
            assert {"77", "31"} <= {str(one["value"]) for one in asked.named("input")}
            assert asked.named("base") == [{"href": f"{base}{asset}"}]
            assert "院长视图" in page.text
            assert "示例市第一人民医院" in page.text
            # Kept as a file, it looks as it should where nothing of the service is; a file is what it was.
            assert (len(page.named("style")), [one["rel"] for one in page.named("link")]) == (1, ["icon"])
            assert own_page(client, "/static/icon.svg", "zh") == (STATIC / "icon.svg").read_bytes()
            with pytest.raises(ProblemError) as refused:
                own_page(client, DESKS["purchases"], "zh")
            assert (refused.value.status, refused.value.slug) == (404, "no-such-desk")
        assert trade.browser.get(DESKS["director"]).status_code == 404
    finally:
        with unrecorded(trade.house.runtime) as db:
            db.exec(update(Participant).values(is_example=True))
