"""What leaves in a delivery: records or a table, and the persons in its smallest group.

Revision ID: 0017
Revises: 0016
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Deliveries of before handed out records, each a group of one."""
    with op.batch_alter_table("delivery") as batch_op:
        batch_op.add_column(sa.Column("output", sa.String(), server_default="records", nullable=False))
        batch_op.add_column(sa.Column("smallest_group", sa.Integer(), server_default="1", nullable=False))


def downgrade() -> None:
    """Deliveries say no more what they hold."""
    with op.batch_alter_table("delivery") as batch_op:
        batch_op.drop_column("smallest_group")
        batch_op.drop_column("output")
