"""A number that the database draws anew with every change of what the catalogue shows; indexes of moments and demands.

Revision ID: 0041
Revises: 0037
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0037"
branch_labels = None
depends_on = None

# What a listing is shown by, and what its description tells.  The terms of the search index come with their line.
COUNTED = (
    "asset",
    "asset_right",
    "catalogue_line",
    "certificate",
    "evidence",
    "exclusivity",
    "listing",
    "offer",
    "offer_buyer",
    "opinion",
    "opinion_condition",
    "participant",
    "stage_record",
    "version",
)
MOMENTS = (
    ("asset_right", "ends_at"),
    ("asset_right", "starts_at"),
    ("certificate", "issued_at"),
    ("certificate", "valid_until"),
    ("exclusivity", "ends_at"),
    ("opinion", "expires_at"),
    ("opinion_condition", "due_at"),
)

# Drawn and not counted: a database restored from a backup would count to the same numbers again with other rows.  Below
# 2^53, so that it is exact in JSON.
DRAWN = "abs(random() % 9007199254740992)"

# Once in a transaction: whoever has drawn holds the row until the commit and finds its own number on it.
FUNCTION = """
CREATE FUNCTION count_catalogue_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE catalogue_revision SET number = floor(random() * 9007199254740992)::bigint
    WHERE xmin <> pg_current_xact_id()::xid;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    """Make the number and its triggers, the indexes that find the latest moment, and one that counts demands."""
    made = op.create_table(
        "catalogue_revision",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalogue_revision")),
    )
    op.bulk_insert(made, [{"id": 1, "number": 1}])
    for table, column in MOMENTS:
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column])
    op.create_index("ix_demand_purpose_buyer_id", "demand", ["purpose", "buyer_id"])
    if op.get_bind().dialect.name == "sqlite":
        _count_on_sqlite()
    else:
        _count_on_postgresql()


def _count_on_sqlite() -> None:
    for table in COUNTED:
        for verb in ("INSERT", "UPDATE", "DELETE"):
            counting = f"CREATE TRIGGER catalogue_counts_{table}_{verb.lower()} AFTER {verb} ON {table} "
            op.execute(counting + f"BEGIN UPDATE catalogue_revision SET number = {DRAWN}; END")  # noqa: S608 - our own names


def _count_on_postgresql() -> None:
    """Drawn at the commit, when a transaction waits for no other row any more: so two of them cannot deadlock."""
    op.execute(FUNCTION)
    for table in COUNTED:
        op.execute(
            f"CREATE CONSTRAINT TRIGGER catalogue_counts_{table} AFTER INSERT OR UPDATE OR DELETE ON {table} "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION count_catalogue_change()"
        )


def downgrade() -> None:
    """Drop them."""
    for table in COUNTED:
        if op.get_bind().dialect.name == "sqlite":
            for verb in ("insert", "update", "delete"):
                op.execute(f"DROP TRIGGER catalogue_counts_{table}_{verb}")
        else:
            op.execute(f"DROP TRIGGER catalogue_counts_{table} ON {table}")
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION count_catalogue_change()")
    op.drop_index("ix_demand_purpose_buyer_id", table_name="demand")
    for table, column in reversed(MOMENTS):
        op.drop_index(op.f(f"ix_{table}_{column}"), table_name=table)
    op.drop_table("catalogue_revision")
