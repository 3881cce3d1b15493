"""The first schema: every table of the first release, made from the models themselves.

Until the first release the models are the schema; from then on each change is a revision of its own.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

from alembic import op
from sqlmodel import SQLModel

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    SQLModel.metadata.create_all(op.get_bind())


def downgrade() -> None:
    """Drop the tables."""
    SQLModel.metadata.drop_all(op.get_bind())
