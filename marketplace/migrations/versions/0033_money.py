"""A payer's events are found by their time, so that a month is billed without reading everybody's.

Revision ID: 0033
Revises: 0026
"""

from __future__ import annotations

from alembic import op

revision = "0033"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_meter_event_payer_id_at", "meter_event", ["payer_id", "at"], unique=False)


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_meter_event_payer_id_at", "meter_event")
