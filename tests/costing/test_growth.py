"""What is asked of the books costs no more for each event the more there are: by SQLite's steps, or by the plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.dialects import sqlite
from sqlmodel import Session, SQLModel

from marketplace.costing.recheck import recheck
from marketplace.costing.service import post_pending
from marketplace.kernel.actor import Actor, Role
from marketplace.ledger import queries as books
from marketplace.plumbing.db import Database
from marketplace.settlement import overview as buying
from marketplace.settlement import queries as settlement
from marketplace.settlement.payables import overview
from marketplace.settlement.payables import queries as payables
from tests.benchmarks import metered
from tests.benchmarks.metered import EXCHANGE, MONTH, START, fill
from tests.plans import plans

NOW = START + timedelta(days=30)
FEW, MANY = 150, 600
PLANNED = 3000
"""Events with which PostgreSQL does not rather read all rows."""
STEPS = 100


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Database]]:
    """Two stores with few and with many events, all in the books and on no invoice."""
    made = [_posted(tmp_path_factory.mktemp("books"), events) for events in (FEW, MANY)]
    yield made
    for one in made:
        one.dispose()


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Database]]:
    """Two stores with few and with many opinions that sellers are owed for, all in the books."""
    made = [_posted(tmp_path_factory.mktemp("books"), events, ("legal.opinion",)) for events in (FEW, MANY)]
    yield made
    for one in made:
        one.dispose()


def _posted(folder: Path, events: int, kinds: Sequence[str] = metered.KINDS, url: str = "") -> Database:
    database = Database(url or f"sqlite:///{folder / 'books.sqlite3'}")
    SQLModel.metadata.create_all(database.engine)
    fill(database, events, kinds)
    with database.transaction() as db:
        assert post_pending(db, NOW, limit=events).posted == events
    return database


def steps(database: Database, work: Callable[[Session], object]) -> int:
    """Instructions of SQLite's virtual machine, to the hundred: the same on every machine."""
    count = 0

    def tick() -> int:
        nonlocal count
        count += 1
        return 0

    with database.reading() as db:
        driver = db.connection().connection.driver_connection
        assert driver is not None
        driver.set_progress_handler(tick, STEPS)
        work(db)
        driver.set_progress_handler(None, 0)
    return count * STEPS


def test_checking_each_event_against_the_books_costs_the_same_with_four_times_as_many(stores: list[Database]) -> None:
    few, many = (steps(one, lambda db: list(recheck(db))) for one in stores)
    assert few > FEW
    assert many < 1.5 * few * MANY / FEW


def test_what_one_provider_owes_costs_the_same_however_much_others_are_charged(stores: list[Database]) -> None:
    few, many = (steps(one, lambda db: payables.owed_by(db, "prt_without_charges")) for one in stores)
    assert many <= 2 * few + STEPS


@pytest.mark.parametrize("read", [payables.payables_of, overview.totals])
def test_what_is_read_as_owed_costs_the_same_however_much_others_are_owed_and_however_much_was_sold(
    stores: list[Database], worked: list[Database], read: Callable[[Session, Actor], object]
) -> None:
    ways = [(worked, "prt_without_charges"), (stores, "prt_without_charges"), (stores, "prt_seller_0")]
    for databases, who in ways:
        actor = Actor(who, frozenset({str(Role.PROVIDER)}))
        few, many = (steps(one, lambda db, actor=actor: read(db, actor)) for one in databases)
        assert many <= 2 * few + STEPS, who
    with worked[1].reading() as db:
        owed = sum(one.amount_fen for one in payables.payables_of(db, Actor("prt_seller_0", frozenset())).rows)
        held = {one.account: one.amount_minor for one in books.balances(db, owner="prt_seller_0")}
        mine = {row[3] for row in db.execute(text(f"EXPLAIN QUERY PLAN {_asked()}"))}
    assert owed == held["receivable"] > 0
    assert "SEARCH meter_event USING INDEX ix_meter_event_payee_id_kind (payee_id=? AND kind=?)" in mine


def _asked() -> str:
    asked = select(payables.every(Actor("prt_seller_0", frozenset())).subquery())
    return str(asked.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))


def test_what_one_buyer_is_billed_costs_the_same_however_much_others_are_charged(stores: list[Database]) -> None:
    asked = (EXCHANGE, "prt_without_charges", NOW)
    ways: list[Callable[[Session], object]] = [
        lambda db: settlement.billable(db, *asked, minimum_of=MONTH),
        lambda db: settlement.any_billable(db, *asked, minimum_of=MONTH),
    ]
    for work in ways:
        few, many = (steps(one, work) for one in stores)
        assert many <= 2 * few + STEPS
    with stores[1].reading() as db:
        buyers = {buyer for _, buyer in settlement.to_bill(db, NOW, minimum_of=MONTH)}
        first = settlement.billable(db, EXCHANGE, "prt_buyer_0", NOW, minimum_of=MONTH)
    assert (len(buyers), len(first)) == (metered.BUYERS, MANY // metered.BUYERS)


def test_either_database_finds_a_buyers_charges_over_its_own_events(tmp_path: Path, either_url: str) -> None:
    database = _posted(tmp_path, PLANNED, url=either_url)
    with database.engine.begin() as connection:
        connection.execute(text("ANALYZE"))
    buyer = Actor("prt_buyer_0", frozenset({str(Role.BUYER)}))
    (plan,) = plans(database, lambda db: buying.to_come(db, buyer, NOW, limit=10))
    with database.reading() as db:
        found = buying.to_come(db, buyer, NOW, limit=10)
    database.dispose()
    assert len(found) == 10
    assert "ix_meter_event_payer_id_at" in plan
    assert "ix_ledger_transaction_meter_event" in plan
    assert "Seq Scan on ledger_transaction" not in plan, plan
