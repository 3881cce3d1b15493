"""Negotiation in rounds: proposals, rules for answers, reviews, reminders; a notice may precede every agreement.

Revision ID: 0014
Revises: 0013
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from marketplace.plumbing.db import UtcDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, and let a notice be about a negotiation without an agreement."""
    with op.batch_alter_table("stop_notice") as batch_op:
        batch_op.alter_column("agreement_id", existing_type=sa.String(), nullable=True)
    op.create_table(
        "proposal",
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("parameters", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("price_plan", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("term_days", sa.Integer(), nullable=False),
        sa.Column("starts_at", UtcDateTime(), nullable=True),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["access_request.id"], name=op.f("fk_proposal_request_id")),
        sa.PrimaryKeyConstraint("document", name=op.f("pk_proposal")),
        sa.UniqueConstraint("request_id", "round", name=op.f("uq_proposal_request_id_round")),
    )
    with op.batch_alter_table("proposal") as batch_op:
        batch_op.create_index(op.f("ix_proposal_request_id"), ["request_id"], unique=False)
    _answers()


def _answers() -> None:
    op.create_table(
        "answer_rule",
        sa.Column("listing_id", sa.String(), nullable=False),
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("automatic", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("reviews", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("set_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["listing_id"], ["listing.id"], name=op.f("fk_answer_rule_listing_id")),
        sa.PrimaryKeyConstraint("listing_id", name=op.f("pk_answer_rule")),
    )
    op.create_table(
        "proposal_review",
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("terms", sa.String(), nullable=False),
        sa.Column("office", sa.String(), nullable=False),
        sa.Column("reviewer", sa.String(), nullable=False),
        sa.Column("approved_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["access_request.id"], name=op.f("fk_proposal_review_request_id")),
        sa.PrimaryKeyConstraint("request_id", "terms", "office", "reviewer", name=op.f("pk_proposal_review")),
    )
    op.create_table(
        "negotiation_reminder",
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("deadline", UtcDateTime(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("reminded_at", UtcDateTime(), nullable=False),
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["access_request.id"], name=op.f("fk_negotiation_reminder_request_id")),
        sa.PrimaryKeyConstraint("request_id", "deadline", name=op.f("pk_negotiation_reminder")),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("negotiation_reminder", "proposal_review", "answer_rule", "proposal"):
        op.drop_table(table)
    with op.batch_alter_table("stop_notice") as batch_op:
        batch_op.alter_column("agreement_id", existing_type=sa.String(), nullable=False)
