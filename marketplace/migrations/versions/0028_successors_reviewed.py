"""Approvals of proposed successors, the deadline of which a side was reminded, and the rules of buyers.

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
    """Create the tables, and let a successor say of which deadline it was reminded."""
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
    op.create_table(
        "acceptance_rule",
        sa.Column("buyer_id", sa.String(), nullable=False),
        sa.Column("listing_id", sa.String(), nullable=False),
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("automatic", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("set_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["buyer_id"], ["participant.id"], name=op.f("fk_acceptance_rule_buyer_id")),
        sa.ForeignKeyConstraint(["listing_id"], ["listing.id"], name=op.f("fk_acceptance_rule_listing_id")),
        sa.PrimaryKeyConstraint("buyer_id", "listing_id", name=op.f("pk_acceptance_rule")),
    )
    with op.batch_alter_table("agreement_successor") as batch_op:
        batch_op.add_column(sa.Column("reminded_of", UtcDateTime(), nullable=True))


def downgrade() -> None:
    """As it was before."""
    with op.batch_alter_table("agreement_successor") as batch_op:
        batch_op.drop_column("reminded_of")
    op.drop_table("acceptance_rule")
    op.drop_table("successor_review")
