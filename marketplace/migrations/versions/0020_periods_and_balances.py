"""Running balances of the books, and their periods.

Revision ID: 0020
Revises: 0017
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from marketplace.ledger.models import APPEND_ONLY, append_only_statements
from marketplace.plumbing.db import UtcDateTime

revision = "0020"
down_revision = "0017"
branch_labels = None
depends_on = None

_KEY = ("owner", "period", "account", "currency", "asset", "version", "stage")
_SUMS = """
INSERT INTO account_balance (owner, period, account, currency, asset, version, stage, debit_minor, credit_minor)
SELECT owner, period, account, currency, coalesce(asset, ''), coalesce(version, ''), coalesce(stage, ''),
  sum(CASE WHEN amount_minor > 0 THEN amount_minor ELSE 0 END),
  -sum(CASE WHEN amount_minor < 0 THEN amount_minor ELSE 0 END)
FROM posting GROUP BY 1, 2, 3, 4, 5, 6, 7
"""
_MONTHS = {
    "sqlite": "UPDATE ledger_transaction SET period = strftime('%Y-%m', at, '+8 hours')",
    "postgresql": "UPDATE ledger_transaction SET period = to_char(at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM')",
}


def upgrade() -> None:
    """Give every posting its month, sum what is there, and make the table of periods."""
    _let_change()
    for table in ("ledger_transaction", "posting"):
        op.add_column(table, sa.Column("period", sa.String(), nullable=False, server_default=""))
    op.execute(_MONTHS[op.get_bind().dialect.name])
    op.execute(
        "UPDATE posting SET period = (SELECT t.period FROM ledger_transaction t WHERE t.id = posting.transaction_id)"
    )
    op.create_index(op.f("ix_ledger_transaction_period"), "ledger_transaction", ["period"], unique=False)
    _protect()
    _tables()
    op.execute(_SUMS)


def _tables() -> None:
    op.create_table(
        "account_balance",
        *(sa.Column(name, sa.String(), nullable=False) for name in _KEY),
        sa.Column("debit_minor", sa.BigInteger(), nullable=False),
        sa.Column("credit_minor", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(*_KEY, name=op.f("pk_account_balance")),
    )
    op.create_index("ix_account_balance_asset_account", "account_balance", ["asset", "account"], unique=False)
    op.create_table(
        "ledger_period",
        sa.Column("period", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("period", name=op.f("pk_ledger_period")),
    )


def _let_change() -> None:
    """Take away the triggers that keep the books append-only, for this migration alone."""
    for table in APPEND_ONLY:
        if op.get_bind().dialect.name == "sqlite":
            op.execute(f"DROP TRIGGER {table}_no_update")
        else:
            op.execute(f"DROP TRIGGER {table}_append_only ON {table}")


def _protect() -> None:
    for table in APPEND_ONLY:
        for statement in append_only_statements(table, op.get_bind().dialect.name):
            op.execute(statement)


def downgrade() -> None:
    """Drop the tables and the months."""
    op.drop_table("ledger_period")
    op.drop_table("account_balance")
    op.drop_index(op.f("ix_ledger_transaction_period"), table_name="ledger_transaction")
    for table in ("posting", "ledger_transaction"):
        op.drop_column(table, "period")
