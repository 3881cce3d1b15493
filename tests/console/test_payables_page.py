"""The page of what is owed for stages: who owes whom, how far it is paid, what is to be done next, page by page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update
from sqlmodel import col

from marketplace.console.desks import payables
from marketplace.main import create_app
from marketplace.participants.models import Participant
from marketplace.settlement.bank.orders import NothingToPay
from marketplace.settlement.payables import overview
from marketplace.settlement.rules import Resolution
from tests.console.reading import Page
from tests.console.trading import Trade, yuan
from tests.exchange.parts import certified
from tests.house import House, unrecorded
from tests.settlement.owing import everything, order, take
from tests.settlement.owing import payables as owed
from tests.settlement.parts import bank, post
from tests.settlement.test_cancelled_orders import cancel, resolve
from tests.settlement.test_invoices import rerate_all
from tests.settlement.test_refunds import debit
from tests.settlement.test_returned import returned

HOSPITAL, FIRM = ("/participants/prt_hospital/payables", "/participants/prt_law_firm/payables")


@pytest.fixture
def owing(house: House) -> Iterator[Trade]:
    certified(house)
    post(house)
    with TestClient(create_app(house.runtime), headers={"accept": "text/html"}) as browser:
        yield Trade(house, browser)


def test_a_director_reads_what_is_owed_what_waits_for_the_bank_and_what_to_do_next(owing: Trade) -> None:
    house = owing.house
    opinion, certificate = (owed(house)[kind] for kind in ("legal.opinion", "registration.certificate"))
    fen, rest = opinion.amount_fen, certificate.amount_fen
    page = owing.page(HOSPITAL)
    for words in (
        "has not said from which account",
        f"To pay {yuan(fen + rest)}",
        "Legal opinion",
        "the payee says where it is paid",
        "Nothing has been ordered.",
    ):
        assert words in page.text
    assert "say where it is to be paid" in owing.page(FIRM).text

    for who in ("hospital", "law_firm"):
        bank(house, who)
    assert "order it from the bank, or say that it was paid by hand" in owing.page(HOSPITAL).text
    made = order(house)
    page = owing.page(HOSPITAL)
    for words in (f"Ordered, not confirmed {yuan(fen)}", "hand in the bank's statement", made.id):
        assert words in page.text
    assert f"To be paid {yuan(0)} Ordered by who owes it {yuan(fen)}" in owing.page(FIRM).text

    name = str(owed(house)["legal.opinion"].reference)
    assert "or cancel what it does not carry out" in page.text
    cancel(house, made)
    take(house, debit("D0", fen, name))
    page = owing.page(HOSPITAL)
    for words in ("cancelled, carried out by the bank", "say whether it stands", f"To pay {yuan(fen + rest)}"):
        assert words in page.text
    resolve(house, made, Resolution.CARRIED_OUT)
    take(house, debit("D1", fen, name))
    assert f"Paid {yuan(fen)}" in owing.page(HOSPITAL).text
    assert f"Received {yuan(fen)}" in owing.page(FIRM).text
    rerate_all(house, legal_opinion=fen - 700)
    page = owing.page(HOSPITAL)
    for words in (f"Owed back to this house {yuan(700)}", "difference of a corrected tariff", "once more is owed"):
        assert words in page.text
    assert f"Owed back by this house {yuan(700)}" in owing.page(FIRM).text
    director = owing.page("/participants/prt_hospital/director").text
    for words in (f"To pay {yuan(rest)}", f"Paid {yuan(fen)}", f"Owed back to this house {yuan(700)}"):
        assert words in page.text
        assert words in director
    take(house, returned("R1", fen, name))
    assert f"To pay {yuan(fen - 700 + rest)}" in owing.page(HOSPITAL).text


def test_what_no_order_would_pay_is_not_said_to_be_ordered(owing: Trade) -> None:
    house = owing.house
    certified(house)
    post(house)
    for who in ("hospital", "law_firm"):
        bank(house, who)
    first = owed(house)["legal.opinion"]
    made = order(house, "hospital", first.meter_event)
    take(house, debit("D1", made.total_fen, made.id[:35], "PmtInfId"))
    fen, ordered = first.amount_fen, "order it from the bank, or say that it was paid by hand"
    assert ordered in owing.page(HOSPITAL).text

    rerate_all(house, legal_opinion=fen // 4)
    here, there = owing.page(HOSPITAL).text, owing.page(FIRM).text
    assert ordered not in here
    for words in ("no order has it until more is owed than is owed back", "taken off an order once more is owed"):
        assert words in here
    for words in ("it waits until more is owed than is owed back", "taken off a payment once more is owed"):
        assert words in there
    with pytest.raises(NothingToPay):
        order(house)

    rerate_all(house, legal_opinion=fen - fen // 4)
    here, there = owing.page(HOSPITAL).text, owing.page(FIRM).text
    for words in (ordered, "the next order takes it off"):
        assert words in here
    for words in ("who owes it orders it", "it is taken off the next payment, or sent back"):
        assert words in there
    assert order(house).total_fen == fen - 2 * (fen // 4)


def test_costs_are_read_page_by_page_what_is_to_be_paid_first(owing: Trade, monkeypatch: pytest.MonkeyPatch) -> None:
    certified(owing.house)
    post(owing.house)
    for who in ("hospital", "registrar"):
        bank(owing.house, who)
    order(owing.house)
    there = everything(owing.house)
    wanted = sorted(there, key=lambda one: (one.state != "owed", one.at, one.meter_event))
    monkeypatch.setattr(payables, "ITEMS", 1)
    seen, address = list[str](), HOSPITAL
    while address:
        page = Page(owing.browser.get(address, headers={"accept-language": "en"}).text)
        seen += [word for word in ("Legal opinion", "Registration certificate") if word in page.text]
        (address,) = [one for one in page.addresses if "cursor=" in one and one.endswith("#cursor")][:1] or [""]
        assert f"To pay {yuan(sum(one.amount_fen for one in there if one.state == 'owed'))}" in page.text
    names = {"legal.opinion": "Legal opinion", "registration.certificate": "Registration certificate"}
    assert seen == [names[one.kind] for one in wanted]
    with owing.house.runtime.database.reading() as db:
        hospital, read, last = owing.house.cast["hospital"].actor, list[str](), None
        while part := overview.listed(db, hospital, limit=3, after=last):
            read, last = [*read, *(one.meter_event for one in part)], overview.cursor(part[-1])
    assert read == [one.meter_event for one in wanted]
    assert owing.browser.get(HOSPITAL, params={"cursor": "AA"}).status_code == 422


def test_orders_are_read_page_by_page_beside_the_costs(owing: Trade, monkeypatch: pytest.MonkeyPatch) -> None:
    for who in ("hospital", "law_firm", "registrar"):
        bank(owing.house, who)
    made = [order(owing.house, "hospital", one.meter_event).id for one in everything(owing.house)[:2]]
    monkeypatch.setattr(payables, "ORDERS", 1)
    first = owing.page(HOSPITAL)
    (following,) = [str(one["href"]) for one in first.named("a") if one.get("rel") == "next"]
    second = Page(owing.browser.get(following).text)
    assert [one.split()[0] for one in first.rows("orders") + second.rows("orders")] == made[::-1]
    assert first.rows("cursor") == second.rows("cursor")
    assert [one.get("rel") for one in second.named("a") if str(one["href"]).endswith("#orders")] == [None]
    assert owing.browser.get(HOSPITAL, params={"orders": "none"}).status_code == 422


def test_a_page_with_a_real_payee_is_shown_to_nobody_else(owing: Trade) -> None:
    with unrecorded(owing.house.runtime) as db:
        db.exec(update(Participant).where(col(Participant.id) == "prt_registrar").values(is_example=False))
    assert owing.browser.get(HOSPITAL).status_code == 404
    assert owing.browser.get(FIRM).status_code == 200
    assert owing.browser.get("/participants/prt_pharma/payables").status_code == 404
