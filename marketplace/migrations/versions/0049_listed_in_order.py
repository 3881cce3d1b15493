"""A page of a participant's requests or exchanges is read in its order, whatever else it ever had.

Revision ID: 0049
Revises: 0048
"""

from __future__ import annotations

from alembic import op

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add indexes; those of the party alone are the first part of two of them."""
    op.create_index("ix_access_request_buyer_asked", "access_request", ["buyer_id", "asked_at", "id"])
    op.create_index("ix_access_request_provider_asked", "access_request", ["provider_id", "asked_at", "id"])
    op.drop_index("ix_access_request_provider_id", "access_request")
    op.create_index(
        "ix_dataspace_exchange_participant_opened", "dataspace_exchange", ["participant_id", "opened_at", "id"]
    )
    op.drop_index("ix_dataspace_exchange_participant_id", "dataspace_exchange")


def downgrade() -> None:
    """Drop them."""
    op.create_index("ix_dataspace_exchange_participant_id", "dataspace_exchange", ["participant_id"])
    op.drop_index("ix_dataspace_exchange_participant_opened", "dataspace_exchange")
    op.create_index("ix_access_request_provider_id", "access_request", ["provider_id"])
    op.drop_index("ix_access_request_provider_asked", "access_request")
    op.drop_index("ix_access_request_buyer_asked", "access_request")
