"""The search index is read in the order of pages: a number per line, the whole row as key, labels as terms.

Revision ID: 0026
Revises: 0025
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

KINDS = ("hospital", "research_institute", "university", "pharma", "insurer", "ai_company", "device_maker",
         "public_body", "other")  # fmt: skip
# A term weighed the sum over its fields; now it weighs what its weightiest field does.
CARRY = """
CREATE TEMPORARY TABLE carried AS
SELECT t.term, l.number, CASE WHEN t.weight >= 8 THEN 8 WHEN t.weight >= 5 THEN 5 WHEN t.weight >= 3 THEN 3
                              WHEN t.weight >= 1 THEN 1 ELSE 0 END AS weight
FROM catalogue_term t JOIN catalogue_line l ON l.listing_id = t.listing_id
"""
LISTED = """
SELECT line.number, asset.modality, asset.body_part, offer.provider_id, offer.uses
FROM catalogue_line line JOIN listing ON listing.id = line.listing_id
JOIN offer ON offer.id = listing.offer_id JOIN asset ON asset.id = listing.asset_id
"""


def upgrade() -> None:
    """Number the published listings in the order of publication, and carry their terms over."""
    op.create_table(
        "catalogue_line",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("listing_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["listing_id"], ["listing.id"], name=op.f("fk_catalogue_line_listing_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_catalogue_line")),
        sa.UniqueConstraint("listing_id", name=op.f("uq_catalogue_line_listing_id")),
    )
    op.execute(
        "INSERT INTO catalogue_line (listing_id) SELECT id FROM listing WHERE listed_at IS NOT NULL "
        "ORDER BY listed_at, id"
    )
    op.execute(CARRY)
    op.drop_table("catalogue_term")
    made = op.create_table(
        "catalogue_term",
        sa.Column("term", sa.String(), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["number"], ["catalogue_line.number"], name=op.f("fk_catalogue_term_number")),
        sa.PrimaryKeyConstraint("term", "weight", "number", name=op.f("pk_catalogue_term")),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO catalogue_term (term, weight, number) SELECT term, weight, number FROM carried")
    op.execute("DROP TABLE carried")
    for row in op.get_bind().execute(sa.text(LISTED)).fetchall():
        op.bulk_insert(made, [{"term": one, "weight": 0, "number": row.number} for one in sorted(_labels(row))])


def _labels(row: Any) -> set[str]:
    uses = json.loads(row.uses) if isinstance(row.uses, str) else row.uses
    kinds, named = set(_values(uses, "mkt:recipientKind")), set(_values(uses, "recipient"))
    found = {"every:", f"modality:{row.modality}", f"body_part:{row.body_part}", f"provider:{row.provider_id}"}
    found |= {f"for:{one}" for one in named or kinds or KINDS}
    return {one.lower() for one in found}


def _values(policy: Any, operand: str) -> Iterator[str]:
    if isinstance(policy, list):
        for part in policy:
            yield from _values(part, operand)
    elif isinstance(policy, dict):
        if policy.get("leftOperand") == operand:
            value = policy["rightOperand"]
            yield from [value] if isinstance(value, str) else value
        yield from _values(list(policy.values()), operand)


def downgrade() -> None:
    """The table as it was, with the weights of today."""
    op.execute(
        "CREATE TEMPORARY TABLE carried AS SELECT l.listing_id, t.term, max(t.weight) AS weight FROM catalogue_term t "
        "JOIN catalogue_line l ON l.number = t.number WHERE t.term NOT LIKE '%:%' OR t.term LIKE 'purpose:%' "
        "GROUP BY l.listing_id, t.term"
    )
    op.drop_table("catalogue_term")
    op.create_table(
        "catalogue_term",
        sa.Column("listing_id", sa.String(), nullable=False),
        sa.Column("term", sa.String(), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["listing_id"], ["listing.id"], name=op.f("fk_catalogue_term_listing_id")),
        sa.PrimaryKeyConstraint("listing_id", "term", name=op.f("pk_catalogue_term")),
    )
    op.create_index(op.f("ix_catalogue_term_term"), "catalogue_term", ["term"], unique=False)
    op.execute("INSERT INTO catalogue_term (listing_id, term, weight) SELECT listing_id, term, weight FROM carried")
    op.execute("DROP TABLE carried")
    op.drop_table("catalogue_line")
