"""What a buyer has open under a listing and what it owes are found without reading all that it ever negotiated.

Revision ID: 0045
Revises: 0043
"""

from __future__ import annotations

from alembic import op

revision = "0045"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add indexes; that of the buyer alone is the first part of one of them."""
    op.create_index("ix_access_request_buyer_listing", "access_request", ["buyer_id", "listing_id", "state"])
    op.drop_index("ix_access_request_buyer_id", "access_request")
    op.create_index("ix_duty_state", "duty", ["state", "agreement_id"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_duty_state", "duty")
    op.create_index("ix_access_request_buyer_id", "access_request", ["buyer_id"])
    op.drop_index("ix_access_request_buyer_listing", "access_request")
