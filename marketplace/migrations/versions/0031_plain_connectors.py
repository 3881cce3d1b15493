"""A connector says whether its messages carry signatures of contracts.

Revision ID: 0031
Revises: 0030
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; connectors of before were registered as such that sign."""
    with op.batch_alter_table("connector") as table:
        table.add_column(sa.Column("signs", sa.Boolean(), nullable=False, server_default=sa.true()))


def downgrade() -> None:
    """Drop the column."""
    with op.batch_alter_table("connector") as table:
        table.drop_column("signs")
