"""Agreements that buyers hosted here have with providers elsewhere.

Revision ID: 0029
Revises: 0028
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from marketplace.plumbing.db import UtcDateTime

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

TABLE = "dataspace_agreement"
_INDEXED = ("buyer_id", "connector_id", "agreement")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        TABLE,
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("exchange_id", sa.String(), nullable=False),
        sa.Column("buyer_id", sa.String(), nullable=False),
        sa.Column("connector_id", sa.String(), nullable=False),
        sa.Column("agreement", sa.String(), nullable=False),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("contract", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("held_at", UtcDateTime(), nullable=False),
        sa.Column("ends_at", UtcDateTime(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["exchange_id"], ["dataspace_exchange.id"], name=op.f("fk_dataspace_agreement_exchange_id")
        ),
        sa.ForeignKeyConstraint(["buyer_id"], ["participant.id"], name=op.f("fk_dataspace_agreement_buyer_id")),
        sa.ForeignKeyConstraint(["connector_id"], ["connector.id"], name=op.f("fk_dataspace_agreement_connector_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataspace_agreement")),
        sa.UniqueConstraint("exchange_id", name=op.f("uq_dataspace_agreement_exchange_id")),
    )
    with op.batch_alter_table(TABLE) as batch_op:
        for column in _INDEXED:
            batch_op.create_index(op.f(f"ix_{TABLE}_{column}"), [column], unique=False)


def downgrade() -> None:
    """Drop it."""
    op.drop_table(TABLE)
