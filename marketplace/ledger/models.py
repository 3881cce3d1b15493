"""Tables of the books; the database itself refuses to change or delete their rows."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import DDL, BigInteger, Index, Table, event
from sqlmodel import Field, SQLModel

from marketplace.plumbing.db import UtcDateTime


class LedgerTransaction(SQLModel, table=True):
    """One balanced set of postings with its cause.

    event_key: names the cause, unique, so that nothing is posted twice.  at: when the cause happened; posted_at: when
    it entered the books.  entry_id: log entry of the cause; posting_entry_id: log entry of the posting itself.
    meter_event: id of the metered event, None for none.  quantity: whole units, negative in a reversal;
    unit_price_minor and tariff: the rate used.  reverses: the transaction taken back by this one.
    period: the month that it counts in, `2026-09`; see `ledger.periods`.
    """

    __tablename__ = "ledger_transaction"
    __table_args__ = (Index("ix_ledger_transaction_asset_id", "asset", "id"),)

    id: str = Field(primary_key=True)
    event_key: str = Field(unique=True)
    kind: str = Field(index=True)
    at: datetime = Field(sa_type=UtcDateTime)
    posted_at: datetime = Field(sa_type=UtcDateTime, index=True)
    memo: str
    entry_id: str = Field(foreign_key="entry.id")
    posting_entry_id: str = Field(foreign_key="entry.id")
    meter_event: str | None = Field(default=None, index=True)
    quantity: int = Field(default=0, sa_type=BigInteger)
    unit_price_minor: int | None = Field(default=None, sa_type=BigInteger)
    tariff: str | None = None
    asset: str | None = None
    version: str | None = None
    stage: str | None = None
    agreement: str | None = Field(default=None, index=True)
    reverses: str | None = Field(default=None, unique=True, foreign_key="ledger_transaction.id")
    period: str = Field(index=True)


class Posting(SQLModel, table=True):
    """One amount on one account of one participant's sub-ledger.

    amount_minor: minor units, debit positive, credit negative; the dimensions repeat those of the transaction so that
    sums need no join.
    """

    __tablename__ = "posting"
    __table_args__ = (
        Index("ix_posting_owner_account", "owner", "account", "currency"),
        Index("ix_posting_owner_transaction", "owner", "transaction_id"),
        Index("ix_posting_asset_account", "asset", "account", "stage"),
    )

    id: str = Field(primary_key=True)
    transaction_id: str = Field(foreign_key="ledger_transaction.id", index=True)
    account: str
    owner: str
    amount_minor: int = Field(sa_type=BigInteger)
    currency: str
    asset: str | None = None
    version: str | None = None
    stage: str | None = None
    agreement: str | None = Field(default=None, index=True)
    period: str


class AccountBalance(SQLModel, table=True):
    """What the postings of a period on one account of one sub-ledger sum to, kept in the transaction that posts them.

    asset, version, stage: empty where a posting is about none.  debit_minor, credit_minor: turnover, both at least 0;
    the audit of the books compares every row with the sum of its postings.
    """

    __tablename__ = "account_balance"
    __table_args__ = (Index("ix_account_balance_asset_account", "asset", "account"),)

    owner: str = Field(primary_key=True)
    period: str = Field(primary_key=True)
    account: str = Field(primary_key=True)
    currency: str = Field(primary_key=True)
    asset: str = Field(primary_key=True)
    version: str = Field(primary_key=True)
    stage: str = Field(primary_key=True)
    debit_minor: int = Field(sa_type=BigInteger)
    credit_minor: int = Field(sa_type=BigInteger)


class LedgerPeriod(SQLModel, table=True):
    """A month of the books that was closed at least once; states are in `ledger.periods`.

    document: SHA-256 of the signed document of the last step, a `period-close` or a `period-reopening`.
    """

    __tablename__ = "ledger_period"

    period: str = Field(primary_key=True)
    state: str
    document: str
    by: str
    at: datetime = Field(sa_type=UtcDateTime)
    entry_id: str


APPEND_ONLY = ("ledger_transaction", "posting")

_POSTGRES_FUNCTION = """
CREATE OR REPLACE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the books are append-only: correct by a reversal'; END $$
"""


def append_only_statements(table: str, dialect: str) -> list[str]:
    """The statements that make a table refuse UPDATE and DELETE; for table creation and for migrations."""
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER IF NOT EXISTS {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            "BEGIN SELECT RAISE(ABORT, 'the books are append-only: correct by a reversal'); END"
            for verb in ("UPDATE", "DELETE")
        ]
    trigger = (
        f"CREATE OR REPLACE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only()"
    )
    return [_POSTGRES_FUNCTION, trigger]


def _protect(table: Table) -> None:
    for dialect in ("sqlite", "postgresql"):
        for statement in append_only_statements(table.name, dialect):
            ddl = DDL(statement)  # type: ignore[no-untyped-call]
            event.listen(table, "after_create", ddl.execute_if(dialect=dialect))


for _name in APPEND_ONLY:
    _protect(SQLModel.metadata.tables[_name])
