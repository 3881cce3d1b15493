"""A page of what a party has, of any list, is read in its order, whatever else there ever was.

Revision ID: 0051
Revises: 0050
"""

from __future__ import annotations

from alembic import op

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None

_LISTS = (
    ("agreement", "buyer", "drafted"),
    ("agreement", "provider", "drafted"),
    ("invoice", "buyer", "issued"),
    ("invoice", "issuer", "issued"),
    ("payment_order", "issuer", "made"),
    ("refund", "buyer", "owed"),
    ("refund", "issuer", "owed"),
    ("asset", "provider", "registered"),
    ("offer", "provider", "made"),
    ("application", "applicant", "filed"),
    ("application", "registrar", "filed"),
    ("dataspace_agreement", "buyer", "held"),
    ("transfer", "agreement", "opened"),
)


def upgrade() -> None:
    """Add indexes; those of the party, or the agreement, alone are the first part of them."""
    for table, party, moment in _LISTS:
        op.create_index(f"ix_{table}_{party}_{moment}", table, [f"{party}_id", f"{moment}_at", "id"])
        op.drop_index(f"ix_{table}_{party}_id", table)
    op.create_index("ix_listing_operator_in_order", "listing", ["operator_id", "id"])
    op.drop_index("ix_listing_operator_id", "listing")


def downgrade() -> None:
    """Drop them."""
    op.create_index("ix_listing_operator_id", "listing", ["operator_id"])
    op.drop_index("ix_listing_operator_in_order", "listing")
    for table, party, moment in reversed(_LISTS):
        op.create_index(f"ix_{table}_{party}_id", table, [f"{party}_id"])
        op.drop_index(f"ix_{table}_{party}_{moment}", table)
