"""Persons as salted commitments, and indexes of the log that reports select by.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from marketplace.plumbing.db import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NARROWED = ("actor", "asset", "agreement")


def upgrade() -> None:
    """Create the table; put the tag into the indexes."""
    op.create_table(
        "person",
        sa.Column("commitment", sa.String(), nullable=False),
        sa.Column("participant", sa.String(), nullable=False),
        sa.Column("identifier", sa.String(), nullable=True),
        sa.Column("salt", sa.LargeBinary(), nullable=True),
        sa.Column("named_at", UtcDateTime(), nullable=False),
        sa.Column("acted_at", UtcDateTime(), nullable=False),
        sa.Column("erased_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("commitment", name=op.f("pk_person")),
        sa.UniqueConstraint("participant", "identifier", name=op.f("uq_person_participant_identifier")),
    )
    with op.batch_alter_table("person") as batch_op:
        batch_op.create_index(op.f("ix_person_participant"), ["participant"], unique=False)
    for name in NARROWED:
        op.drop_index(op.f(f"ix_entry_{name}"), "entry")
        op.create_index(op.f(f"ix_entry_{name}_tag"), "entry", [name, "tag"], unique=False)


def downgrade() -> None:
    """Drop the table and bring the old indexes back."""
    for name in NARROWED:
        op.drop_index(op.f(f"ix_entry_{name}_tag"), "entry")
        op.create_index(op.f(f"ix_entry_{name}"), "entry", [name], unique=False)
    op.drop_table("person")
