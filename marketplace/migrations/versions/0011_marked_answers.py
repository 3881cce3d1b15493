"""Kept answers carry a mark of the instance; those from before cannot be replayed and go.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the mark."""
    op.execute("DELETE FROM idempotency")
    op.add_column("idempotency", sa.Column("mark", sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("idempotency", "mark")
