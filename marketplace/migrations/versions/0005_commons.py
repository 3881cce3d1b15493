"""Receipts beside kept answers, and the entry that recorded each signature.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; answers and signatures from before have neither."""
    with op.batch_alter_table("idempotency") as table:
        table.add_column(sa.Column("promise", sa.String(), nullable=True))
    with op.batch_alter_table("document_signature") as table:
        table.add_column(sa.Column("entry", sa.String(), nullable=True))


def downgrade() -> None:
    """Drop them."""
    with op.batch_alter_table("document_signature") as table:
        table.drop_column("entry")
    with op.batch_alter_table("idempotency") as table:
        table.drop_column("promise")
