"""Notices, consent withdrawals, addresses for notices.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from marketplace.plumbing.db import UtcDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Columns that say who stopped something, and why.
ADDED = {
    "version": ("stop_reason", "stopped_by"),
    "agreement": ("suspended_by",),
    "listing": ("state_before",),
}


def upgrade() -> None:
    """Create the tables, and the columns of earlier ones."""
    with op.batch_alter_table("epoch") as batch_op:
        batch_op.add_column(sa.Column("at_change", sa.BigInteger(), nullable=False, server_default="0"))
    for table, names in ADDED.items():
        with op.batch_alter_table(table) as batch_op:
            for name in names:
                batch_op.add_column(sa.Column(name, sa.String(), nullable=False, server_default=""))
    _consent()
    _notices()


def _consent() -> None:
    op.create_table(
        "consent_withdrawal",
        sa.Column("asset_id", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("version_id", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["version.id"], name=op.f("fk_consent_withdrawal_version_id")),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name=op.f("fk_consent_withdrawal_asset_id")),
        sa.PrimaryKeyConstraint("asset_id", "sha256", name=op.f("pk_consent_withdrawal")),
    )


def _notices() -> None:
    op.create_table(
        "stop_notice",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("agreement_id", sa.String(), nullable=False),
        sa.Column("stop_entry", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("stopped_by", sa.String(), nullable=False),
        sa.Column("stopped_at", UtcDateTime(), nullable=False),
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["agreement_id"], ["agreement.id"], name=op.f("fk_stop_notice_agreement_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stop_notice")),
        sa.UniqueConstraint("agreement_id", "stop_entry", name=op.f("uq_stop_notice_agreement_id_stop_entry")),
    )
    op.create_table(
        "stop_notice_reader",
        sa.Column("notice_id", sa.String(), nullable=False),
        sa.Column("party", sa.String(), nullable=False),
        sa.Column("acknowledged_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["notice_id"], ["stop_notice.id"], name=op.f("fk_stop_notice_reader_notice_id")),
        sa.ForeignKeyConstraint(["party"], ["participant.id"], name=op.f("fk_stop_notice_reader_party")),
        sa.PrimaryKeyConstraint("notice_id", "party", name=op.f("pk_stop_notice_reader")),
    )
    with op.batch_alter_table("stop_notice_reader") as batch_op:
        batch_op.create_index(op.f("ix_stop_notice_reader_party"), ["party"], unique=False)
    op.create_table(
        "notice_address",
        sa.Column("party", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("set_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["party"], ["participant.id"], name=op.f("fk_notice_address_party")),
        sa.PrimaryKeyConstraint("party", name=op.f("pk_notice_address")),
    )


def downgrade() -> None:
    """Drop the tables and the columns."""
    for table in ("notice_address", "stop_notice_reader", "stop_notice", "consent_withdrawal"):
        op.drop_table(table)
    for table, names in ADDED.items():
        with op.batch_alter_table(table) as batch_op:
            for name in names:
                batch_op.drop_column(name)
    with op.batch_alter_table("epoch") as batch_op:
        batch_op.drop_column("at_change")
