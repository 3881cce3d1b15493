"""Invoices with their lines, shares, schemes, bank accounts, payment orders, what the bank has told; who is unpaid.

Revision ID: 0023
Revises: 0022
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from marketplace.plumbing.db import UtcDateTime

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "invoice_series",
        sa.Column("issuer_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["issuer_id"], ["participant.id"], name=op.f("fk_invoice_series_issuer_id")),
        sa.PrimaryKeyConstraint("issuer_id", "kind", "year", name=op.f("pk_invoice_series")),
    )
    _invoices()
    _lines()
    _payouts()
    _shares()
    _outcomes()
    with op.batch_alter_table("agreement") as batch_op:
        batch_op.add_column(sa.Column("unpaid", sa.Boolean(), nullable=False, server_default=sa.false()))


def _invoices() -> None:
    op.create_table(
        "invoice",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("issuer_id", sa.String(), nullable=False),
        sa.Column("buyer_id", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("period", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("total_fen", sa.BigInteger(), nullable=False),
        sa.Column("vat_fen", sa.BigInteger(), nullable=False),
        sa.Column("credited_fen", sa.BigInteger(), nullable=False),
        sa.Column("credits", sa.String(), nullable=True),
        sa.Column("issued_at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("overdue_at", UtcDateTime(), nullable=True),
        sa.Column("suspended_at", UtcDateTime(), nullable=True),
        sa.Column("paid_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["buyer_id"], ["participant.id"], name=op.f("fk_invoice_buyer_id")),
        sa.ForeignKeyConstraint(["credits"], ["invoice.id"], name=op.f("fk_invoice_credits")),
        sa.ForeignKeyConstraint(["issuer_id"], ["participant.id"], name=op.f("fk_invoice_issuer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoice")),
        sa.UniqueConstraint("issuer_id", "number", name=op.f("uq_invoice_issuer_id_number")),
    )
    with op.batch_alter_table("invoice") as batch_op:
        for column in ("buyer_id", "credits", "issuer_id", "number", "state"):
            batch_op.create_index(op.f(f"ix_invoice_{column}"), [column], unique=False)


def _lines() -> None:
    op.create_table(
        "invoice_line",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("invoice_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("meter_event", sa.String(), nullable=False),
        sa.Column("transaction_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("agreement_id", sa.String(), nullable=True),
        sa.Column("asset_id", sa.String(), nullable=True),
        sa.Column("provider_id", sa.String(), nullable=False),
        sa.Column("price_fen", sa.BigInteger(), nullable=False),
        sa.Column("vat_fen", sa.BigInteger(), nullable=False),
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.Column("posting_entry_id", sa.String(), nullable=False),
        sa.Column("credited_by", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["credited_by"], ["invoice.id"], name=op.f("fk_invoice_line_credited_by")),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoice.id"], name=op.f("fk_invoice_line_invoice_id")),
        sa.ForeignKeyConstraint(["meter_event"], ["meter_event.id"], name=op.f("fk_invoice_line_meter_event")),
        sa.ForeignKeyConstraint(
            ["transaction_id"], ["ledger_transaction.id"], name=op.f("fk_invoice_line_transaction_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoice_line")),
        sa.UniqueConstraint("invoice_id", "position", name=op.f("uq_invoice_line_invoice_id_position")),
        sa.UniqueConstraint("meter_event", name=op.f("uq_invoice_line_meter_event")),
        sa.UniqueConstraint("transaction_id", name=op.f("uq_invoice_line_transaction_id")),
    )
    with op.batch_alter_table("invoice_line") as batch_op:
        for column in ("agreement_id", "invoice_id"):
            batch_op.create_index(op.f(f"ix_invoice_line_{column}"), [column], unique=False)


def _payouts() -> None:
    op.create_table(
        "payment_order",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("issuer_id", sa.String(), nullable=False),
        sa.Column("payments", sa.Integer(), nullable=False),
        sa.Column("total_fen", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["issuer_id"], ["participant.id"], name=op.f("fk_payment_order_issuer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_order")),
    )
    with op.batch_alter_table("payment_order") as batch_op:
        batch_op.create_index(op.f("ix_payment_order_issuer_id"), ["issuer_id"], unique=False)
    op.create_table(
        "bank_entry",
        sa.Column("issuer_id", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("invoice_id", sa.String(), nullable=True),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("taken_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoice.id"], name=op.f("fk_bank_entry_invoice_id")),
        sa.ForeignKeyConstraint(["issuer_id"], ["participant.id"], name=op.f("fk_bank_entry_issuer_id")),
        sa.PrimaryKeyConstraint("issuer_id", "reference", name=op.f("pk_bank_entry")),
    )
    with op.batch_alter_table("bank_entry") as batch_op:
        batch_op.create_index(op.f("ix_bank_entry_invoice_id"), ["invoice_id"], unique=False)
    op.create_table(
        "bank_account",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("set_by", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("bank", sa.String(), nullable=False),
        sa.Column("set_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["set_by"], ["participant.id"], name=op.f("fk_bank_account_set_by")),
        sa.PrimaryKeyConstraint("owner", name=op.f("pk_bank_account")),
    )
    with op.batch_alter_table("bank_account") as batch_op:
        batch_op.create_index(op.f("ix_bank_account_set_by"), ["set_by"], unique=False)


def _shares() -> None:
    op.create_table(
        "scheme_choice",
        sa.Column("provider_id", sa.String(), nullable=False),
        sa.Column("scheme", sa.String(), nullable=False),
        sa.Column("owners", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("chosen_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["provider_id"], ["participant.id"], name=op.f("fk_scheme_choice_provider_id")),
        sa.PrimaryKeyConstraint("provider_id", name=op.f("pk_scheme_choice")),
    )
    op.create_table(
        "share",
        sa.Column("line_id", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("issuer_id", sa.String(), nullable=False),
        sa.Column("provider_id", sa.String(), nullable=False),
        sa.Column("asset_id", sa.String(), nullable=True),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=True),
        sa.Column("void", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["issuer_id"], ["participant.id"], name=op.f("fk_share_issuer_id")),
        sa.ForeignKeyConstraint(["line_id"], ["invoice_line.id"], name=op.f("fk_share_line_id")),
        sa.ForeignKeyConstraint(["order_id"], ["payment_order.id"], name=op.f("fk_share_order_id")),
        sa.ForeignKeyConstraint(["provider_id"], ["participant.id"], name=op.f("fk_share_provider_id")),
        sa.PrimaryKeyConstraint("line_id", "role", name=op.f("pk_share")),
    )
    with op.batch_alter_table("share") as batch_op:
        for column in ("asset_id", "issuer_id", "order_id", "owner", "provider_id"):
            batch_op.create_index(op.f(f"ix_share_{column}"), [column], unique=False)


def _outcomes() -> None:
    op.create_table(
        "outcome",
        sa.Column("agreement_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("value_permille", sa.BigInteger(), nullable=False),
        sa.Column("met", sa.Boolean(), nullable=False),
        sa.Column("rulings", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("declared_at", UtcDateTime(), nullable=False),
        sa.Column("disputed_at", UtcDateTime(), nullable=True),
        sa.Column("settled_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["agreement_id"], ["agreement.id"], name=op.f("fk_outcome_agreement_id")),
        sa.PrimaryKeyConstraint("agreement_id", name=op.f("pk_outcome")),
    )


def downgrade() -> None:
    """Drop them."""
    tables = (
        "outcome",
        "share",
        "scheme_choice",
        "bank_account",
        "bank_entry",
        "payment_order",
        "invoice_line",
        "invoice",
    )
    for table in (*tables, "invoice_series"):
        op.drop_table(table)
