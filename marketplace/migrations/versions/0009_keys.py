"""Statements about the log: recoveries, and new keys of log and witness.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from marketplace.plumbing.db import UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "log_statement",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["document"], ["document.sha256"], name=op.f("fk_log_statement_document_document")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_log_statement")),
        sa.UniqueConstraint("document", name=op.f("uq_log_statement_document")),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("log_statement")
