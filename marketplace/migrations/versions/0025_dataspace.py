"""Exchanges with connectors over the Dataspace Protocol, and their messages.

Revision ID: 0025
Revises: 0024
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from marketplace.plumbing.db import UtcDateTime

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_INDEXED = {
    "dataspace_exchange": ("participant_id", "connector_id", "peer_pid", "request_id", "agreement_id"),
    "dataspace_message": ("exchange_id", "state"),
}


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "dataspace_exchange",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("protocol", sa.String(), nullable=False),
        sa.Column("participant_id", sa.String(), nullable=False),
        sa.Column("connector_id", sa.String(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("peer_pid", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("terms", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("agreement", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("data_address", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("agreement_id", sa.String(), nullable=False),
        sa.Column("visits", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("moved_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["participant_id"], ["participant.id"], name=op.f("fk_dataspace_exchange_participant_id")
        ),
        sa.ForeignKeyConstraint(["connector_id"], ["connector.id"], name=op.f("fk_dataspace_exchange_connector_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataspace_exchange")),
    )
    op.create_table(
        "dataspace_message",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("exchange_id", sa.String(), nullable=False),
        sa.Column("ours", sa.Boolean(), nullable=False),
        sa.Column("move", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("sending_until", UtcDateTime(), nullable=True),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("settled_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["exchange_id"], ["dataspace_exchange.id"], name=op.f("fk_dataspace_message_exchange_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataspace_message")),
    )
    for table, columns in _INDEXED.items():
        with op.batch_alter_table(table) as batch_op:
            for column in columns:
                batch_op.create_index(op.f(f"ix_{table}_{column}"), [column], unique=False)


def downgrade() -> None:
    """Drop them."""
    for table in reversed(_INDEXED):
        op.drop_table(table)
