"""What chooses among tariffs, which metered events wait to be posted, and which assets are capitalised.

Revision ID: 0021
Revises: 0020
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from marketplace.plumbing.db import UtcDateTime

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_WAITING = """
INSERT INTO meter_waiting (event_id, asset_id)
SELECT id, asset_id FROM meter_event m
WHERE NOT EXISTS (SELECT 1 FROM ledger_transaction t WHERE t.meter_event = m.id)
"""


def upgrade() -> None:
    """Add the attributes and note what has no posting yet."""
    attributes = sa.Column("attributes", sa.JSON(none_as_null=True), nullable=False, server_default="{}")
    op.add_column("meter_event", attributes)
    op.create_table(
        "meter_waiting",
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("asset_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["meter_event.id"], name=op.f("fk_meter_waiting_event_id")),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_meter_waiting")),
    )
    op.create_index(op.f("ix_meter_waiting_asset_id"), "meter_waiting", ["asset_id"], unique=False)
    op.execute(_WAITING)
    op.create_table(
        "capitalisation",
        sa.Column("asset_id", sa.String(), nullable=False),
        sa.Column("provider_id", sa.String(), nullable=False),
        sa.Column("treatment", sa.String(), nullable=False),
        sa.Column("parts", sa.Integer(), nullable=False),
        sa.Column("cost_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("began_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name=op.f("fk_capitalisation_asset_id")),
        sa.ForeignKeyConstraint(["provider_id"], ["participant.id"], name=op.f("fk_capitalisation_provider_id")),
        sa.PrimaryKeyConstraint("asset_id", name=op.f("pk_capitalisation")),
    )
    op.create_index(op.f("ix_capitalisation_provider_id"), "capitalisation", ["provider_id"], unique=False)


def downgrade() -> None:
    """Drop them."""
    op.drop_table("capitalisation")
    op.drop_table("meter_waiting")
    op.drop_column("meter_event", "attributes")
