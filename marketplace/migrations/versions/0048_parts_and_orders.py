"""What is owed for a stage has parts; a payment order knows that it was cancelled, a contract the rule that offered it.

Revision ID: 0048
Revises: 0045
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from marketplace.plumbing.db import UtcDateTime

revision = "0048"
down_revision = "0045"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the part to the key, and the columns of a cancelled order and of a contract."""
    op.add_column("agreement", sa.Column("by_rule", sa.String(), nullable=True))
    op.add_column("payment_order", sa.Column("cancelled_at", UtcDateTime(), nullable=True))
    op.add_column("payment_order", sa.Column("cancellation", sa.JSON(), nullable=True))
    with op.batch_alter_table("payable") as batch_op:
        batch_op.add_column(sa.Column("part", sa.Integer(), nullable=False, server_default="0"))
        batch_op.drop_constraint(op.f("pk_payable"), type_="primary")
        batch_op.create_primary_key(op.f("pk_payable"), ["meter_event", "part"])


def downgrade() -> None:
    """Drop them, with the differences that have a part of their own."""
    op.drop_column("payment_order", "cancellation")
    op.drop_column("payment_order", "cancelled_at")
    op.drop_column("agreement", "by_rule")
    op.execute("DELETE FROM payable WHERE part > 0")
    with op.batch_alter_table("payable") as batch_op:
        batch_op.drop_constraint(op.f("pk_payable"), type_="primary")
        batch_op.create_primary_key(op.f("pk_payable"), ["meter_event"])
        batch_op.drop_column("part")
