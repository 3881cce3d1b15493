"""Bounds of a use: the database itself refuses a quota that is passed or falls below zero.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

CHECKS = {
    "not_negative": "uses_reserved >= 0 AND uses_settled >= 0 AND bytes_reserved >= 0 AND bytes_settled >= 0",
    "within_limits": "(uses_limit IS NULL OR uses_reserved + uses_settled <= uses_limit)"
    " AND (bytes_limit IS NULL OR bytes_reserved + bytes_settled <= bytes_limit)",
}


def upgrade() -> None:
    """Hold up the limits of every quota."""
    with op.batch_alter_table("usage_quota") as table:
        for name, condition in CHECKS.items():
            table.create_check_constraint(op.f(f"ck_usage_quota_{name}"), condition)


def downgrade() -> None:
    """Leave the limits to the code again."""
    with op.batch_alter_table("usage_quota") as table:
        for name in CHECKS:
            table.drop_constraint(op.f(f"ck_usage_quota_{name}"), type_="check")
