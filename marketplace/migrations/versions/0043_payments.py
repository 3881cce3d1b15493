"""Shares know their transfer, when the bank carried it out and whether one came back; what is owed for stages.

Revision ID: 0043
Revises: 0041
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from marketplace.plumbing.db import UtcDateTime

revision = "0043"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns and table."""
    op.add_column("share", sa.Column("reference", sa.String(), nullable=True))
    op.add_column("share", sa.Column("paid_at", UtcDateTime(), nullable=True))
    op.add_column("share", sa.Column("returned_as", sa.String(), nullable=True))
    op.create_index("ix_share_reference", "share", ["reference"], unique=False)
    _payables()


def _payables() -> None:
    op.create_table(
        "payable",
        sa.Column("meter_event", sa.String(), nullable=False),
        sa.Column("transaction_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("asset_id", sa.String(), nullable=False),
        sa.Column("payer_id", sa.String(), nullable=False),
        sa.Column("payee_id", sa.String(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=True),
        sa.Column("reference", sa.String(), nullable=True),
        sa.Column("paid_at", UtcDateTime(), nullable=True),
        sa.Column("payments", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["meter_event"], ["meter_event.id"], name=op.f("fk_payable_meter_event")),
        sa.ForeignKeyConstraint(["transaction_id"], ["ledger_transaction.id"], name=op.f("fk_payable_transaction_id")),
        sa.ForeignKeyConstraint(["payer_id"], ["participant.id"], name=op.f("fk_payable_payer_id")),
        sa.ForeignKeyConstraint(["payee_id"], ["participant.id"], name=op.f("fk_payable_payee_id")),
        sa.ForeignKeyConstraint(["order_id"], ["payment_order.id"], name=op.f("fk_payable_order_id")),
        sa.PrimaryKeyConstraint("meter_event", name=op.f("pk_payable")),
    )
    for column in ("asset_id", "payer_id", "payee_id", "order_id", "reference"):
        op.create_index(op.f(f"ix_payable_{column}"), "payable", [column], unique=False)


def downgrade() -> None:
    """Drop them."""
    op.drop_table("payable")
    op.drop_index("ix_share_reference", "share")
    for column in ("returned_as", "paid_at", "reference"):
        op.drop_column("share", column)
