"""Duties of buyers, reports of use, certificates of deletion; notices of duties beside those of stops.

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from marketplace.plumbing.db import UtcDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, and the column that tells notices apart."""
    with op.batch_alter_table("stop_notice") as batch_op:
        batch_op.add_column(sa.Column("kind", sa.String(), nullable=False, server_default="stop-notice"))
    op.create_table(
        "duty",
        sa.Column("agreement_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reminded_at", UtcDateTime(), nullable=True),
        sa.Column("demanded_at", UtcDateTime(), nullable=True),
        sa.Column("overdue_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["agreement_id"], ["agreement.id"], name=op.f("fk_duty_agreement_id")),
        sa.PrimaryKeyConstraint("agreement_id", "kind", name=op.f("pk_duty")),
    )
    with op.batch_alter_table("duty") as batch_op:
        batch_op.create_index(op.f("ix_duty_due_at"), ["due_at"], unique=False)
    _proofs()


def _proofs() -> None:
    op.create_table(
        "use_report",
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("agreement_id", sa.String(), nullable=False),
        sa.Column("period_from", UtcDateTime(), nullable=False),
        sa.Column("period_to", UtcDateTime(), nullable=False),
        sa.Column("uses", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("differences", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("accepted_at", UtcDateTime(), nullable=False),
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["agreement_id"], ["agreement.id"], name=op.f("fk_use_report_agreement_id")),
        sa.PrimaryKeyConstraint("document", name=op.f("pk_use_report")),
    )
    with op.batch_alter_table("use_report") as batch_op:
        batch_op.create_index(op.f("ix_use_report_agreement_id"), ["agreement_id"], unique=False)
    op.create_table(
        "deletion_certificate",
        sa.Column("agreement_id", sa.String(), nullable=False),
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("manifests", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("deleted_at", UtcDateTime(), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("accepted_at", UtcDateTime(), nullable=False),
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["agreement_id"], ["agreement.id"], name=op.f("fk_deletion_certificate_agreement_id")),
        sa.PrimaryKeyConstraint("agreement_id", name=op.f("pk_deletion_certificate")),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("deletion_certificate", "use_report", "duty"):
        op.drop_table(table)
    with op.batch_alter_table("stop_notice") as batch_op:
        batch_op.drop_column("kind")
