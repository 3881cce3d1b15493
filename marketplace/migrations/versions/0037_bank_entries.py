"""Bank entries know whether they came by hand; what the bank took back of invoices and refunds.

Revision ID: 0037
Revises: 0035
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns."""
    op.add_column("bank_entry", sa.Column("by_hand", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("bank_entry", sa.Column("told_as", sa.String(), nullable=True))
    op.add_column("invoice", sa.Column("bounced_fen", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("refund", sa.Column("void", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("refund", "void")
    op.drop_column("invoice", "bounced_fen")
    op.drop_column("bank_entry", "told_as")
    op.drop_column("bank_entry", "by_hand")
