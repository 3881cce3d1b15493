"""A page of an asset's transactions is read in their order, however many it has.

Revision ID: 0052
Revises: 0051
"""

from __future__ import annotations

from alembic import op

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add an index; that of the asset alone is its first part."""
    op.create_index("ix_ledger_transaction_asset_id", "ledger_transaction", ["asset", "id"])
    op.drop_index("ix_ledger_transaction_asset", "ledger_transaction")


def downgrade() -> None:
    """Drop it."""
    op.create_index("ix_ledger_transaction_asset", "ledger_transaction", ["asset"])
    op.drop_index("ix_ledger_transaction_asset_id", "ledger_transaction")
