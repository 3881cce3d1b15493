"""Approvals of proposed successors, and the deadline of which a side was reminded.

Revision ID: 0028
Revises: 0026
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from marketplace.plumbing.db import UtcDateTime

revision = "0028"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of approvals, and let a successor say of which deadline it was reminded."""
    op.create_table(
        "successor_review",
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("office", sa.String(), nullable=False),
        sa.Column("reviewer", sa.String(), nullable=False),
        sa.Column("agreement_id", sa.String(), nullable=False),
        sa.Column("approved_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["agreement_id"], ["agreement.id"], name=op.f("fk_successor_review_agreement_id")),
        sa.PrimaryKeyConstraint("document", "office", "reviewer", name=op.f("pk_successor_review")),
    )
    with op.batch_alter_table("successor_review") as batch_op:
        batch_op.create_index(op.f("ix_successor_review_agreement_id"), ["agreement_id"], unique=False)
    with op.batch_alter_table("agreement_successor") as batch_op:
        batch_op.add_column(sa.Column("reminded_of", UtcDateTime(), nullable=True))


def downgrade() -> None:
    """As it was before."""
    with op.batch_alter_table("agreement_successor") as batch_op:
        batch_op.drop_column("reminded_of")
    op.drop_table("successor_review")
