"""Transfers that are pushed: how far ours have come, and what arrived for participants hosted here.

Revision ID: 0030
Revises: 0029
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from marketplace.plumbing.db import UtcDateTime

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "dataspace_push",
        sa.Column("exchange_id", sa.String(), nullable=False),
        sa.Column("flow", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("reached", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("upload", sa.String(), nullable=False),
        sa.Column("moved_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["exchange_id"], ["dataspace_exchange.id"], name=op.f("fk_dataspace_push_exchange_id")),
        sa.PrimaryKeyConstraint("exchange_id", name=op.f("pk_dataspace_push")),
    )
    op.create_table(
        "dataspace_arrival",
        sa.Column("exchange_id", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("digest_given", sa.Boolean(), nullable=False),
        sa.Column("arrived_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["exchange_id"], ["dataspace_exchange.id"], name=op.f("fk_dataspace_arrival_exchange_id")
        ),
        sa.PrimaryKeyConstraint("exchange_id", name=op.f("pk_dataspace_arrival")),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("dataspace_arrival")
    op.drop_table("dataspace_push")
