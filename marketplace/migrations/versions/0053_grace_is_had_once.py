"""Since when an invoice lacks what the bank took back: the days of grace are had once, however often it takes back.

Revision ID: 0053
Revises: 0052
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from marketplace.plumbing.db import UtcDateTime

revision = "0053"
down_revision = "0052"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the moment; what was taken back before counts from the first entry that took it."""
    op.add_column("invoice", sa.Column("bounced_at", UtcDateTime(), nullable=True))
    op.execute(
        "UPDATE invoice SET bounced_at = (SELECT MIN(bank_entry.taken_at) FROM bank_entry"
        " WHERE bank_entry.invoice_id = invoice.id AND bank_entry.outcome = 'reversed') WHERE bounced_fen > 0"
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_column("invoice", "bounced_at")
