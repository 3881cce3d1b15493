"""What a party is owed for stages is found without reading what others are owed, or its own sales.

Revision ID: 0050
Revises: 0049
"""

from __future__ import annotations

from alembic import op

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add an index of events by payee and kind."""
    op.create_index("ix_meter_event_payee_id_kind", "meter_event", ["payee_id", "kind"])


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_meter_event_payee_id_kind", "meter_event")
