"""Shares know their transfer, when the bank carried it out and whether one came back.

Revision ID: 0043
Revises: 0037
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from marketplace.plumbing.db import UtcDateTime

revision = "0043"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns."""
    op.add_column("share", sa.Column("reference", sa.String(), nullable=True))
    op.add_column("share", sa.Column("paid_at", UtcDateTime(), nullable=True))
    op.add_column("share", sa.Column("returned_as", sa.String(), nullable=True))
    op.create_index("ix_share_reference", "share", ["reference"], unique=False)


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_share_reference", "share")
    for column in ("returned_as", "paid_at", "reference"):
        op.drop_column("share", column)
