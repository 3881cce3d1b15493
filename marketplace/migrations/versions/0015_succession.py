"""Acts on signed agreements, successors of agreements, asked assignments.

Revision ID: 0015
Revises: 0014
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from marketplace.plumbing.db import UtcDateTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the three tables."""
    _acts()
    _successors()
    _assignments()
    for table, column in (
        ("agreement_act", "agreement_id"),
        ("agreement_successor", "predecessor_id"),
        ("agreement_assignment", "agreement_id"),
    ):
        with op.batch_alter_table(table) as batch_op:
            batch_op.create_index(op.f(f"ix_{table}_{column}"), [column], unique=False)


def _acts() -> None:
    op.create_table(
        "agreement_act",
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("agreement_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("previous", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("party", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.Column("signed_at", UtcDateTime(), nullable=True),
        sa.Column("chased_at", UtcDateTime(), nullable=True),
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["agreement_id"], ["agreement.id"], name=op.f("fk_agreement_act_agreement_id")),
        sa.ForeignKeyConstraint(["party"], ["participant.id"], name=op.f("fk_agreement_act_party")),
        sa.PrimaryKeyConstraint("document", name=op.f("pk_agreement_act")),
        sa.UniqueConstraint("agreement_id", "number", name=op.f("uq_agreement_act_agreement_id_number")),
    )


def _successors() -> None:
    op.create_table(
        "agreement_successor",
        sa.Column("agreement_id", sa.String(), nullable=False),
        sa.Column("predecessor_id", sa.String(), nullable=False),
        sa.Column("previous", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("proposed_by", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("proposed_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("answered_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["agreement_id"], ["agreement.id"], name=op.f("fk_agreement_successor_agreement_id")),
        sa.ForeignKeyConstraint(
            ["predecessor_id"], ["agreement.id"], name=op.f("fk_agreement_successor_predecessor_id")
        ),
        sa.ForeignKeyConstraint(["proposed_by"], ["participant.id"], name=op.f("fk_agreement_successor_proposed_by")),
        sa.PrimaryKeyConstraint("agreement_id", name=op.f("pk_agreement_successor")),
    )


def _assignments() -> None:
    op.create_table(
        "agreement_assignment",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("agreement_id", sa.String(), nullable=False),
        sa.Column("assignee_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("act", sa.String(), nullable=True),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("answered_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["agreement_id"], ["agreement.id"], name=op.f("fk_agreement_assignment_agreement_id")),
        sa.ForeignKeyConstraint(["assignee_id"], ["participant.id"], name=op.f("fk_agreement_assignment_assignee_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agreement_assignment")),
        sa.UniqueConstraint(
            "agreement_id", "assignee_id", name=op.f("uq_agreement_assignment_agreement_id_assignee_id")
        ),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("agreement_assignment", "agreement_successor", "agreement_act"):
        op.drop_table(table)
