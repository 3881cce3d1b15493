"""A page of the public notices that run is read in the order of their ends, however many have ended.

Revision ID: 0055
Revises: 0054
"""

from __future__ import annotations

from alembic import op

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add an index."""
    op.create_index("ix_application_notice_until", "application", ["notice_until", "id"])


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_application_notice_until", "application")
