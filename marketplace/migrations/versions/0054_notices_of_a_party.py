"""A page of a party's notices is read in their order, however many others have.

Revision ID: 0054
Revises: 0053
"""

from __future__ import annotations

from alembic import op

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add an index; that of the party alone is its first part."""
    op.create_index("ix_stop_notice_reader_party_notice", "stop_notice_reader", ["party", "notice_id"])
    op.drop_index("ix_stop_notice_reader_party", "stop_notice_reader")


def downgrade() -> None:
    """Drop it."""
    op.create_index("ix_stop_notice_reader_party", "stop_notice_reader", ["party"])
    op.drop_index("ix_stop_notice_reader_party_notice", "stop_notice_reader")
