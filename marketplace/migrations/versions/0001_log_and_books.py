"""Outbox, epochs, kept answers, the log, the ledger and the meters.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from marketplace.ledger.models import APPEND_ONLY, append_only_statements
from marketplace.plumbing.db import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    "document",
    "entry",
    "epoch",
    "idempotency",
    "log_checkpoint",
    "log_tile",
    "meter_event",
    "outbox",
    "document_signature",
    "ledger_transaction",
    "posting",
)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "document",
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("readers", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_document")),
    )
    op.create_table(
        "entry",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tag", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("asset", sa.String(), nullable=True),
        sa.Column("version", sa.String(), nullable=True),
        sa.Column("agreement", sa.String(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("leaf_index", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entry")),
        sa.UniqueConstraint("leaf_index", name=op.f("uq_entry_leaf_index")),
    )
    with op.batch_alter_table("entry") as batch_op:
        batch_op.create_index(op.f("ix_entry_actor"), ["actor"], unique=False)
        batch_op.create_index(op.f("ix_entry_agreement"), ["agreement"], unique=False)
        batch_op.create_index(op.f("ix_entry_asset"), ["asset"], unique=False)
        batch_op.create_index(op.f("ix_entry_at"), ["at"], unique=False)
        batch_op.create_index(op.f("ix_entry_tag"), ["tag"], unique=False)
        batch_op.create_index(op.f("ix_entry_version"), ["version"], unique=False)
    op.create_table(
        "epoch",
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_epoch")),
    )
    op.create_table(
        "idempotency",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("body_hash", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("location", sa.String(), nullable=True),
        sa.Column("kept_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_idempotency")),
    )
    with op.batch_alter_table("idempotency") as batch_op:
        batch_op.create_index(op.f("ix_idempotency_kept_at"), ["kept_at"], unique=False)
    op.create_table(
        "log_checkpoint",
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_log_checkpoint")),
    )
    op.create_table(
        "log_tile",
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "index", name=op.f("pk_log_tile")),
    )
    op.create_table(
        "meter_event",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("event_key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("unit_price_fen", sa.BigInteger(), nullable=True),
        sa.Column("asset_id", sa.String(), nullable=False),
        sa.Column("version_id", sa.String(), nullable=True),
        sa.Column("stage", sa.String(), nullable=True),
        sa.Column("agreement_id", sa.String(), nullable=True),
        sa.Column("payer_id", sa.String(), nullable=False),
        sa.Column("payee_id", sa.String(), nullable=True),
        sa.Column("venue_id", sa.String(), nullable=True),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meter_event")),
        sa.UniqueConstraint("event_key", name=op.f("uq_meter_event_event_key")),
    )
    with op.batch_alter_table("meter_event") as batch_op:
        batch_op.create_index(op.f("ix_meter_event_agreement_id"), ["agreement_id"], unique=False)
        batch_op.create_index(op.f("ix_meter_event_asset_id"), ["asset_id"], unique=False)
        batch_op.create_index(op.f("ix_meter_event_kind"), ["kind"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("args", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("dedup_key", sa.String(), nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("leased_until", UtcDateTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column("done_at", UtcDateTime(), nullable=True),
        sa.Column("given_up_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("dedup_key", name=op.f("uq_outbox_dedup_key")),
    )
    with op.batch_alter_table("outbox") as batch_op:
        batch_op.create_index(op.f("ix_outbox_done_at"), ["done_at"], unique=False)
        batch_op.create_index(op.f("ix_outbox_due_at"), ["due_at"], unique=False)
    op.create_table(
        "document_signature",
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("signer", sa.String(), nullable=False),
        sa.Column("kid", sa.String(), nullable=False),
        sa.Column("alg", sa.String(), nullable=False),
        sa.Column("typ", sa.String(), nullable=False),
        sa.Column("jws", sa.String(), nullable=False),
        sa.Column("jwk", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("signed_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["document"], ["document.sha256"], name=op.f("fk_document_signature_document")),
        sa.PrimaryKeyConstraint("document", "signer", name=op.f("pk_document_signature")),
    )
    op.create_table(
        "ledger_transaction",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("event_key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("posted_at", UtcDateTime(), nullable=False),
        sa.Column("memo", sa.String(), nullable=False),
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.Column("posting_entry_id", sa.String(), nullable=False),
        sa.Column("meter_event", sa.String(), nullable=True),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("unit_price_minor", sa.BigInteger(), nullable=True),
        sa.Column("tariff", sa.String(), nullable=True),
        sa.Column("asset", sa.String(), nullable=True),
        sa.Column("version", sa.String(), nullable=True),
        sa.Column("stage", sa.String(), nullable=True),
        sa.Column("agreement", sa.String(), nullable=True),
        sa.Column("reverses", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["entry_id"], ["entry.id"], name=op.f("fk_ledger_transaction_entry_id")),
        sa.ForeignKeyConstraint(
            ["posting_entry_id"], ["entry.id"], name=op.f("fk_ledger_transaction_posting_entry_id")
        ),
        sa.ForeignKeyConstraint(["reverses"], ["ledger_transaction.id"], name=op.f("fk_ledger_transaction_reverses")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_transaction")),
        sa.UniqueConstraint("event_key", name=op.f("uq_ledger_transaction_event_key")),
        sa.UniqueConstraint("reverses", name=op.f("uq_ledger_transaction_reverses")),
    )
    with op.batch_alter_table("ledger_transaction") as batch_op:
        batch_op.create_index(op.f("ix_ledger_transaction_agreement"), ["agreement"], unique=False)
        batch_op.create_index(op.f("ix_ledger_transaction_asset"), ["asset"], unique=False)
        batch_op.create_index(op.f("ix_ledger_transaction_kind"), ["kind"], unique=False)
        batch_op.create_index(op.f("ix_ledger_transaction_meter_event"), ["meter_event"], unique=False)
        batch_op.create_index(op.f("ix_ledger_transaction_posted_at"), ["posted_at"], unique=False)
    op.create_table(
        "posting",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("transaction_id", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("asset", sa.String(), nullable=True),
        sa.Column("version", sa.String(), nullable=True),
        sa.Column("stage", sa.String(), nullable=True),
        sa.Column("agreement", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["transaction_id"], ["ledger_transaction.id"], name=op.f("fk_posting_transaction_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_posting")),
    )
    with op.batch_alter_table("posting") as batch_op:
        batch_op.create_index(op.f("ix_posting_agreement"), ["agreement"], unique=False)
        batch_op.create_index("ix_posting_asset_account", ["asset", "account", "stage"], unique=False)
        batch_op.create_index("ix_posting_owner_account", ["owner", "account", "currency"], unique=False)
        batch_op.create_index("ix_posting_owner_transaction", ["owner", "transaction_id"], unique=False)
        batch_op.create_index(op.f("ix_posting_transaction_id"), ["transaction_id"], unique=False)
    for table in APPEND_ONLY:
        for statement in append_only_statements(table, op.get_bind().dialect.name):
            op.execute(statement)


def downgrade() -> None:
    """Drop the tables."""
    for table in reversed(TABLES):
        op.drop_table(table)
