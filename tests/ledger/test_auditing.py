"""The full audit of the books: silent when honest, and it names every row that somebody touched."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.ledger import service
from marketplace.ledger.auditing import audit
from marketplace.ledger.fitting import fitting
from marketplace.ledger.rules import ReversalReason
from marketplace.plumbing.db import Database
from tests.costing.books import NOW, meter_asset, meter_sale, open_books, post_all
from tests.servers import initdb_path, postgresql


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Database]:
    with open_books(tmp_path) as database:
        with database.transaction() as db:
            posted = post_all(db, [*meter_asset(db), *(meter_sale(db, 3_000_001, key=f"s:{n}") for n in range(5))])
            service.reverse(db, SERVICE_ACTOR, posted[-1].id, ReversalReason.WRONG_RATE, NOW)
        yield database


def change(books: Database, sql: str) -> None:
    """As somebody who has the file: the triggers that forbid it are taken away first, foreign keys are not checked."""
    with closing(sqlite3.connect(str(books.url.database))) as outside:
        for table in ("posting", "ledger_transaction"):
            for verb in ("update", "delete"):
                outside.execute(f"DROP TRIGGER {table}_no_{verb}")
        assert outside.execute(sql).rowcount > 0
        outside.commit()


def test_honest_books_are_sound_and_every_transaction_is_settled_by_its_bytes(books: Database) -> None:
    with books.reading() as db:
        report = audit(db)
        assert report.sound
        assert (report.transactions, report.imbalance_minor) == (9, 0)
        settled = fitting(db)
        assert (len(settled.transactions), settled.postings) == (report.transactions, report.postings)


@pytest.mark.skipif(initdb_path() is None, reason="PostgreSQL is not installed here")
def test_the_bytes_settle_it_on_postgresql_as_well(tmp_path: Path) -> None:
    with postgresql() as url, open_books(tmp_path, url) as books:
        with books.transaction() as db:
            post_all(db, [*meter_asset(db), meter_sale(db, 3_000_001)])
        with books.reading() as db:
            assert audit(db).sound
            assert len(fitting(db).transactions) == 4


ONE = "(SELECT id FROM posting ORDER BY id LIMIT 1 OFFSET 7)"
MANY = {
    "amount": f"UPDATE posting SET amount_minor = amount_minor + 1 WHERE id = {ONE}",
    "amount moved": "UPDATE posting SET amount_minor = -amount_minor "
    "WHERE transaction_id = (SELECT id FROM ledger_transaction LIMIT 1)",
    "account": f"UPDATE posting SET account = 'tax:surcharge' WHERE id = {ONE}",
    "owner": f"UPDATE posting SET owner = 'prt_other' WHERE id = {ONE}",
    "owner with quotes": f"""UPDATE posting SET owner = owner || '","x":"' WHERE id = {ONE}""",
    "currency": f"UPDATE posting SET currency = 'USD' WHERE id = {ONE}",
    "asset": f"UPDATE posting SET asset = 'ast_2' WHERE id = {ONE}",
    "stage": f"UPDATE posting SET stage = NULL WHERE id = {ONE}",
    "deleted posting": f"DELETE FROM posting WHERE id = {ONE}",
    "doubled posting": "INSERT INTO posting SELECT id || 'x', transaction_id, account, owner, amount_minor, currency, "
    f"asset, version, stage, agreement, period FROM posting WHERE id = {ONE}",
    "period of a posting": f"UPDATE posting SET period = '2026-10' WHERE id = {ONE}",
    "orphan": f"UPDATE posting SET transaction_id = 'ltx_none' WHERE id = {ONE}",
}
TRANSACTION = {
    "event_key": "'x'",
    "kind": "'x'",
    "at": "'2020-01-01 00:00:00.000000'",
    "posted_at": "'2020-01-01 00:00:00.000000'",
    "memo": "'x'",
    "entry_id": "posting_entry_id",
    "meter_event": "'x'",
    "quantity": "quantity + 1",
    "unit_price_minor": "1",
    "tariff": "'x'",
    "asset": "'ast_2'",
    "version": "'ver_2'",
    "stage": "'x'",
    "agreement": "'agr_2'",
    "reverses": "id",
    "period": "'2026-10'",
    "posting_entry_id": "(SELECT posting_entry_id FROM ledger_transaction ORDER BY id LIMIT 1 OFFSET 3)",
}
MANY |= {
    "balance": "UPDATE account_balance SET debit_minor = debit_minor + 1, credit_minor = credit_minor + 1 "
    "WHERE rowid = 1",
    "deleted balance": "DELETE FROM account_balance WHERE rowid = 2",
    "invented balance": "INSERT INTO account_balance VALUES ('prt_x', '2026-09', 'payable', 'CNY', '', '', '', 1, 1)",
}
MANY |= {
    f"transaction {name}": f"UPDATE ledger_transaction SET {name} = {value} "
    "WHERE id = (SELECT id FROM ledger_transaction ORDER BY id LIMIT 1 OFFSET 4)"
    for name, value in TRANSACTION.items()
}


@pytest.mark.parametrize("how", MANY)
def test_whatever_is_changed_is_named(books: Database, how: str) -> None:
    change(books, MANY[how])
    with books.reading() as db:
        report = audit(db)
    assert not report.sound
    assert {one.table for one in report.findings} <= {"posting", "ledger_transaction", "account_balance", "entry"}
    changed_sums = {"amount", "owner", "owner with quotes", "currency", "deleted posting", "doubled posting", "orphan"}
    assert (report.imbalance_minor > 0) == (how in changed_sums)
