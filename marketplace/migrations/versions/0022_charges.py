"""What is charged by the month, exclusive licences, offers to named buyers.

Revision ID: 0022
Revises: 0021
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from marketplace.plumbing.db import UtcDateTime

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "monthly_charge",
        sa.Column("agreement_id", sa.String(), nullable=False),
        sa.Column("month", sa.String(), nullable=False),
        sa.Column("counted", sa.BigInteger(), nullable=False),
        sa.Column("charged_fen", sa.BigInteger(), nullable=False),
        sa.Column("trial_used", sa.BigInteger(), nullable=False),
        sa.Column("cap_fen", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "counted >= 0 AND charged_fen >= 0 AND trial_used >= 0", name=op.f("ck_monthly_charge_not_negative")
        ),
        sa.CheckConstraint("cap_fen IS NULL OR charged_fen <= cap_fen", name=op.f("ck_monthly_charge_within_cap")),
        sa.ForeignKeyConstraint(["agreement_id"], ["agreement.id"], name=op.f("fk_monthly_charge_agreement_id")),
        sa.PrimaryKeyConstraint("agreement_id", "month", name=op.f("pk_monthly_charge")),
    )
    op.create_table(
        "charged_study",
        sa.Column("agreement_id", sa.String(), nullable=False),
        sa.Column("month", sa.String(), nullable=False),
        sa.Column("study", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["agreement_id"], ["agreement.id"], name=op.f("fk_charged_study_agreement_id")),
        sa.PrimaryKeyConstraint("agreement_id", "month", "study", name=op.f("pk_charged_study")),
    )
    _offers()


def _offers() -> None:
    op.create_table(
        "exclusivity",
        sa.Column("agreement_id", sa.String(), nullable=False),
        sa.Column("asset_id", sa.String(), nullable=False),
        sa.Column("buyer_id", sa.String(), nullable=False),
        sa.Column("ends_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name=op.f("fk_exclusivity_asset_id")),
        sa.ForeignKeyConstraint(["buyer_id"], ["participant.id"], name=op.f("fk_exclusivity_buyer_id")),
        sa.PrimaryKeyConstraint("agreement_id", name=op.f("pk_exclusivity")),
    )
    with op.batch_alter_table("exclusivity") as batch_op:
        batch_op.create_index(op.f("ix_exclusivity_asset_id"), ["asset_id"], unique=False)
    op.create_table(
        "offer_buyer",
        sa.Column("offer_id", sa.String(), nullable=False),
        sa.Column("buyer_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["buyer_id"], ["participant.id"], name=op.f("fk_offer_buyer_buyer_id")),
        sa.ForeignKeyConstraint(["offer_id"], ["offer.id"], name=op.f("fk_offer_buyer_offer_id")),
        sa.PrimaryKeyConstraint("offer_id", "buyer_id", name=op.f("pk_offer_buyer")),
    )
    with op.batch_alter_table("offer_buyer") as batch_op:
        batch_op.create_index(op.f("ix_offer_buyer_buyer_id"), ["buyer_id"], unique=False)


def downgrade() -> None:
    """Drop them."""
    for table in ("offer_buyer", "exclusivity", "charged_study", "monthly_charge"):
        op.drop_table(table)
