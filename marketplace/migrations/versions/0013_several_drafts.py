"""A negotiation may draft more than one agreement before one of them is signed.

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let a request have several agreements."""
    with op.batch_alter_table("agreement") as batch_op:
        batch_op.drop_constraint(op.f("uq_agreement_request_id"), type_="unique")
        batch_op.create_index(op.f("ix_agreement_request_id"), ["request_id"], unique=False)


def downgrade() -> None:
    """One agreement for a request."""
    with op.batch_alter_table("agreement") as batch_op:
        batch_op.drop_index(op.f("ix_agreement_request_id"))
        batch_op.create_unique_constraint(op.f("uq_agreement_request_id"), ["request_id"])
