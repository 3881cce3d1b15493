"""Pages of what was traded: a party's are read by an index of it in their order, an auditor's by the key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlmodel import Session, SQLModel, insert, select

from marketplace.dataspace import queries as dataspace
from marketplace.dataspace.models import Exchange
from marketplace.kernel.actor import Actor
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import Agreement
from marketplace.plumbing.paging import Paged
from marketplace.settlement import queries as settlement
from marketplace.settlement.bank import queries as bank
from marketplace.settlement.models import Invoice, PaymentOrder, Refund
from tests.dataspace.peer import speaking
from tests.house import START, House, open_house
from tests.plans import walks
from tests.settlement.parts import bank as say_account
from tests.settlement.parts import billed, pay, sold
from tests.settlement.test_bank import order as order_shares

MANY = 3000
UNIQUE = {"number", "cause_key", "reference"}
Read = Callable[..., Paged[Any]]

LISTS: dict[str, tuple[type[SQLModel], Read, str, tuple[str, ...]]] = {
    "agreements": (Agreement, negotiation.agreements_of, "drafted", ("buyer", "provider")),
    "invoices": (Invoice, settlement.invoices_of, "issued", ("buyer", "issuer")),
    "orders": (PaymentOrder, bank.orders_of, "made", ("issuer",)),
    "refunds": (Refund, bank.refunds_of, "owed", ("buyer", "issuer")),
    "exchanges": (Exchange, dataspace.exchanges_of, "opened", ("participant",)),
}
"""Name -> table, what reads a page of it, the moment it is in order of, the parties that have it."""


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
            for table, _, moment, parties in LISTS.values():
                first = _exchange(house, connector) if table is Exchange else db.exec(select(table)).one().model_dump()
                db.connection().execute(insert(table), _rows(house, first, moment, parties))
            db.connection().execute(text("ANALYZE"))
        yield house


def _emptied(url: str) -> str:
    with psycopg.connect(url) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return url


def _exchange(house: House, connector: str) -> dict[str, Any]:
    made = Exchange(
        id="exc",
        protocol="negotiation",
        participant_id=house.cast["pharma"].id,
        connector_id=connector,
        side="consumer",
        address="",
        state="TERMINATED",
        subject="x",
        opened_at=START,
        moved_at=START,
    )
    return made.model_dump()


def _rows(house: House, first: dict[str, Any], moment: str, parties: tuple[str, ...]) -> list[dict[str, Any]]:
    names = [house.cast[name].id for name in ("hospital", "pharma", "ai_company")]
    return [
        first
        | {"id": f"row_{number * 7 % MANY:05d}", f"{moment}_at": START - timedelta(seconds=number // 2)}
        | {f"{party}_id": names[(number + place) % 3] for place, party in enumerate(parties)}
        | {name: f"{name}-{number}" for name in UNIQUE & first.keys()}
        for number in range(MANY)
    ]


def _actor(house: House, name: str) -> Actor:
    return house.cast[name].actor


def _whole(db: Session, read: Read, actor: Actor) -> list[Any]:
    found, cursor = list[Any](), None
    while True:
        page = read(db, actor, cursor=cursor, limit=400)
        found += page.rows
        if (cursor := page.next) is None:
            return found


@pytest.mark.parametrize("name", list(LISTS))
def test_a_list_of_one_party_and_of_all_is_in_one_order_and_whole(crowded: House, name: str) -> None:
    table, read, moment, parties = LISTS[name]
    with crowded.runtime.database.reading() as db:
        every = db.exec(select(table)).all()
        assert len(every) >= MANY
        assert _whole(db, read, _actor(crowded, "auditor")) == sorted(every, key=lambda one: one.id, reverse=True)
        for who in ("hospital", "ai_company"):
            own = crowded.cast[who].id
            mine = [one for one in every if own in {getattr(one, f"{party}_id") for party in parties}]
            mine.sort(key=lambda one: (getattr(one, f"{moment}_at"), one.id), reverse=True)
            assert _whole(db, read, _actor(crowded, who)) == mine
            assert len(every) > len(mine) >= MANY // 3


@pytest.mark.parametrize("name", list(LISTS))
def test_a_page_is_read_by_index_in_its_order_whatever_else_there_is(crowded: House, name: str) -> None:
    table, read, moment, parties = LISTS[name]
    database, named = crowded.runtime.database, table.__tablename__
    key = f"sqlite_autoindex_{named}_1" if database.engine.dialect.name == "sqlite" else f"pk_{named}"
    ways = {"auditor": [key], "hospital": [f"ix_{named}_{party}_{moment}" for party in parties]}
    for who, indexes in ways.items():
        asked = partial(read, actor=_actor(crowded, who), limit=20)
        assert walks(database, asked) == indexes
        with database.reading() as db:
            cursor = asked(db).next
        following = walks(database, partial(asked, cursor=cursor))[-len(indexes) :]
        assert following == [f"{one} behind" for one in indexes]
