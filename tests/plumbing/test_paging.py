"""Pages of what was traded: a party's are read by an index of it in their order, an auditor's by the key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlmodel import Session, SQLModel, col, insert, select

from marketplace.assets import queries as assets
from marketplace.assets.models import Asset
from marketplace.dataspace import queries as dataspace
from marketplace.dataspace.models import Exchange, HeldAgreement
from marketplace.exchange import queries as exchange
from marketplace.exchange.models import Listing, Offer
from marketplace.kernel.actor import Actor
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import Agreement
from marketplace.plumbing.db import Database
from marketplace.plumbing.paging import Paged
from marketplace.registration import queries as registration
from marketplace.registration.models import Application
from marketplace.settlement import queries as settlement
from marketplace.settlement.bank import queries as bank
from marketplace.settlement.models import Invoice, PaymentOrder, Refund
from marketplace.transfer import queries as transfers
from marketplace.transfer.models import Transfer
from tests.dataspace.peer import speaking
from tests.house import START, House, open_house
from tests.plans import walks
from tests.settlement.parts import bank as say_account
from tests.settlement.parts import billed, pay, sold
from tests.settlement.test_bank import order as order_shares

MANY = 3000
UNIQUE = {"number", "cause_key", "reference", "exchange_id", "key", "offer_id"}
Read = Callable[..., Paged[Any]]


@dataclass(frozen=True)
class List:
    """read: a page of the table; moment: that it is in order of; parties: who has a row; all: whether auditors do."""

    table: type[SQLModel]
    read: Read
    moment: str
    parties: tuple[str, ...]
    latest_first: bool = True
    all: bool = True


LISTS = {
    "agreements": List(Agreement, negotiation.agreements_of, "drafted", ("buyer", "provider")),
    "invoices": List(Invoice, settlement.invoices_of, "issued", ("buyer", "issuer")),
    "orders": List(PaymentOrder, bank.orders_of, "made", ("issuer",)),
    "refunds": List(Refund, bank.refunds_of, "owed", ("buyer", "issuer")),
    "exchanges": List(Exchange, dataspace.exchanges_of, "opened", ("participant",)),
    "held agreements": List(HeldAgreement, dataspace.held_of, "held", ("buyer",)),
    "assets": List(Asset, assets.visible_assets, "registered", ("provider",), latest_first=False),
    "offers": List(Offer, exchange.own_offers, "made", ("provider",), latest_first=False, all=False),
    "applications": List(
        Application, registration.visible_applications, "filed", ("applicant", "registrar"), latest_first=False
    ),
}
LISTINGS = List(Listing, exchange.own_listings, "submitted", ("operator",), latest_first=False)
"""Also of the provider of the offer, who is another one; by the key, since the moment moves."""
USES = List(Transfer, transfers.of_agreement, "opened", ("agreement",), latest_first=False)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def crowded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Thousands of each, two at each moment, by turns bought and sold by the hospital and none of its business."""
    url = "" if request.param == "sqlite" else _emptied(request.getfixturevalue("database_url"))
    with open_house(tmp_path_factory.mktemp("crowd") / "house", url) as house:
        say_account(house, "hospital")
        say_account(house, "exchange")
        sold(house)
        invoice = billed(house)
        pay(house, invoice, amount=invoice.total_fen + 100)
        order_shares(house)
        with speaking(house, party="hospital", hosted="pharma") as peer:
            connector = peer.connector.id
        with house.arrange() as db:
            for one in LISTS.values():
                first = db.exec(select(one.table)).first() or _first(one.table, connector)
                db.connection().execute(insert(one.table), _rows(house, first.model_dump(), one))
            listing = db.exec(select(Listing)).one().model_dump()
            db.connection().execute(insert(Listing), _rows(house, listing, LISTINGS, turn=1))
            used = _rows(house, _transfer(house).model_dump(), USES)
            db.connection().execute(insert(Transfer), used)
            db.connection().execute(text("ANALYZE"))
        yield house


def _emptied(url: str) -> str:
    with psycopg.connect(url) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return url


def _first(table: type[SQLModel], connector: str) -> SQLModel:
    """A row of what is told of elsewhere: an exchange, or what a buyer holds by it."""
    same = {"participant_id": "", "buyer_id": "", "connector_id": connector, "state": "TERMINATED", "agreement": ""}
    said = {"protocol": "negotiation", "side": "consumer", "address": "", "subject": "x", "dataset": "", "document": ""}
    made = table(**same, **said, id="first", exchange_id="", opened_at=START, moved_at=START, held_at=START)
    if isinstance(made, Exchange):
        made.agreement = {}
    return made


def _transfer(house: House) -> Transfer:
    whole = {"path": "", "purpose": "x", "action": "use", "manifest": "x", "sha256": "x", "size": 1}
    leg = {"leg_start": 0, "leg_end": 0, "leg_uses": 0, "subjects": [], "epoch": 0, "stops_at": 0, "lease_until": START}
    mine = {"agreement_id": "", "party": house.cast["pharma"].id, "key": "", "opened_at": START, "entry_id": "x"}
    return Transfer(id="first", state="closed", **whole, **leg, **mine)


def _rows(house: House, first: dict[str, Any], of: List, turn: int = 0) -> list[dict[str, Any]]:
    """Rows like the first, two at each moment, in another order of ids; by turns each of three has them."""
    names = [house.cast[name].id for name in ("hospital", "pharma", "ai_company")]
    names = [f"row_{number:05d}" for number in range(3)] if of is USES else names
    return [
        first
        | {"id": (name := f"row_{number * 7 % MANY:05d}"), f"{of.moment}_at": START - timedelta(seconds=number // 2)}
        | {f"{party}_id": names[(number + place) % 3] for place, party in enumerate(of.parties, turn)}
        | dict.fromkeys(UNIQUE & first.keys(), name)
        for number in range(MANY)
    ]


def _actor(house: House, name: str) -> Actor:
    return house.cast[name].actor


def _whole(db: Session, read: Callable[..., Paged[Any]]) -> list[Any]:
    found, cursor = list[Any](), None
    while True:
        page = read(db, cursor=cursor, limit=400)
        found += page.rows
        if (cursor := page.next) is None:
            return found


def _in_order(rows: Iterable[Any], of: List) -> list[Any]:
    return sorted(rows, key=lambda one: (getattr(one, f"{of.moment}_at"), one.id), reverse=of.latest_first)


@pytest.mark.parametrize("name", list(LISTS))
def test_a_list_of_one_party_and_of_all_is_in_one_order_and_whole(crowded: House, name: str) -> None:
    of = LISTS[name]
    with crowded.runtime.database.reading() as db:
        every = db.exec(select(of.table)).all()
        assert len(every) >= MANY
        if of.all:
            read = partial(of.read, actor=_actor(crowded, "auditor"))
            assert _whole(db, read) == sorted(every, key=lambda one: one.id, reverse=of.latest_first)
        for who in ("hospital", "ai_company"):
            own = crowded.cast[who].id
            mine = [one for one in every if own in {getattr(one, f"{party}_id") for party in of.parties}]
            assert _whole(db, partial(of.read, actor=_actor(crowded, who))) == _in_order(mine, of)
            assert len(every) > len(mine) >= MANY // 3


@pytest.mark.parametrize("name", list(LISTS))
def test_a_page_is_read_by_index_in_its_order_whatever_else_there_is(crowded: House, name: str) -> None:
    of, database = LISTS[name], crowded.runtime.database
    named = str(of.table.__tablename__)
    key = f"sqlite_autoindex_{named}_1" if database.engine.dialect.name == "sqlite" else f"pk_{named}"
    ways = {"hospital": [f"ix_{named}_{party}_{of.moment}" for party in of.parties]}
    for who, indexes in (ways | ({"auditor": [key]} if of.all else {})).items():
        _is_walked(database, partial(of.read, actor=_actor(crowded, who), limit=20), indexes)


def test_the_uses_of_an_agreement_are_listed_in_order_by_index(crowded: House) -> None:
    with crowded.runtime.database.reading() as db:
        uses = [one for one in db.exec(select(Transfer)) if one.agreement_id == "row_00001"]
        assert _whole(db, partial(USES.read, agreement_id="row_00001")) == _in_order(uses, USES)
        assert len(uses) == MANY // 3
    asked = partial(USES.read, agreement_id="row_00001", limit=20)
    _is_walked(crowded.runtime.database, asked, ["ix_transfer_agreement_opened"])


def test_listings_are_those_that_a_party_operates_and_those_of_its_offers(crowded: House) -> None:
    hospital, database = _actor(crowded, "hospital"), crowded.runtime.database
    with database.reading() as db:
        rows = db.exec(select(Listing, Offer.provider_id).join(Offer, col(Offer.id) == col(Listing.offer_id))).all()
        mine = [one for one, provider in rows if hospital.participant in (one.operator_id, provider)]
        assert {provider for _, provider in rows} > {hospital.participant}
        assert _whole(db, partial(LISTINGS.read, actor=hospital)) == sorted(mine, key=lambda one: one.id)
        every = sorted((one for one, _ in rows), key=lambda one: one.id)
        assert _whole(db, partial(LISTINGS.read, actor=_actor(crowded, "auditor"))) == every
    operated, _offered = walks(database, partial(LISTINGS.read, actor=hospital, limit=20))
    assert operated == "ix_listing_operator_in_order"


def _is_walked(database: Database, asked: Callable[..., Paged[Any]], indexes: list[str]) -> None:
    """The first page and the next are read over these indexes in their order, each part over one."""
    assert walks(database, asked) == indexes
    with database.reading() as db:
        cursor = asked(db).next
    following = walks(database, partial(asked, cursor=cursor))[-len(indexes) :]
    assert following == [f"{one} behind" for one in indexes]
