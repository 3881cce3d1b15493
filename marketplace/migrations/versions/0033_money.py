"""Invoices paid in parts, refunds owed and ordered, hospitals' levels, and an index for billing a payer's month.

Revision ID: 0033
Revises: 0031
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from marketplace.plumbing.db import UtcDateTime

revision = "0033"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns, table and index."""
    received = sa.Column("received_fen", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("invoice", received)
    op.execute("UPDATE invoice SET received_fen = total_fen - credited_fen WHERE state = 'paid'")
    _refunds()
    op.add_column("participant", sa.Column("hospital_level", sa.String(), nullable=True))
    op.create_index("ix_meter_event_payer_id_at", "meter_event", ["payer_id", "at"], unique=False)


def _refunds() -> None:
    op.create_table(
        "refund",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("issuer_id", sa.String(), nullable=False),
        sa.Column("buyer_id", sa.String(), nullable=False),
        sa.Column("invoice_id", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("cause_key", sa.String(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("owed_at", UtcDateTime(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=True),
        sa.Column("reference", sa.String(), nullable=True),
        sa.Column("paid_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["issuer_id"], ["participant.id"], name=op.f("fk_refund_issuer_id")),
        sa.ForeignKeyConstraint(["buyer_id"], ["participant.id"], name=op.f("fk_refund_buyer_id")),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoice.id"], name=op.f("fk_refund_invoice_id")),
        sa.ForeignKeyConstraint(["order_id"], ["payment_order.id"], name=op.f("fk_refund_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refund")),
        sa.UniqueConstraint("cause_key", name=op.f("uq_refund_cause_key")),
        sa.UniqueConstraint("reference", name=op.f("uq_refund_reference")),
    )
    for column in ("issuer_id", "buyer_id", "invoice_id", "order_id"):
        op.create_index(op.f(f"ix_refund_{column}"), "refund", [column], unique=False)


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_meter_event_payer_id_at", "meter_event")
    op.drop_table("refund")
    op.drop_column("invoice", "received_fen")
    op.drop_column("participant", "hospital_level")
