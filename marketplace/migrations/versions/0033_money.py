"""Hospitals have a level; a payer's events are found by their time, so that a month is billed without reading all.

Revision ID: 0033
Revises: 0031
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add column and index."""
    op.add_column("participant", sa.Column("hospital_level", sa.String(), nullable=True))
    op.create_index("ix_meter_event_payer_id_at", "meter_event", ["payer_id", "at"], unique=False)


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_meter_event_payer_id_at", "meter_event")
    op.drop_column("participant", "hospital_level")
