"""Offers, listings, negotiation, agreements, quotas and transfers.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from marketplace.plumbing.db import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = (
    "market_reference",
    "demand",
    "offer",
    "listing",
    "access_request",
    "catalogue_term",
    "agreement",
    "delivery",
    "transfer",
    "usage_quota",
    "delivery_file",
)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "market_reference",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("date", sa.String(), nullable=False),
        sa.Column("product", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("venue", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("grade", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("price_fen", sa.BigInteger(), nullable=True),
        sa.Column("is_example", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_market_reference")),
    )
    op.create_table(
        "demand",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("buyer_id", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("modality", sa.String(), nullable=False),
        sa.Column("body_part", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("budget_fen", sa.BigInteger(), nullable=True),
        sa.Column("published_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["buyer_id"], ["participant.id"], name=op.f("fk_demand_buyer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_demand")),
    )
    with op.batch_alter_table("demand") as batch_op:
        batch_op.create_index(op.f("ix_demand_buyer_id"), ["buyer_id"], unique=False)
        batch_op.create_index(op.f("ix_demand_published_at"), ["published_at"], unique=False)
    op.create_table(
        "offer",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("provider_id", sa.String(), nullable=False),
        sa.Column("asset_id", sa.String(), nullable=False),
        sa.Column("version_id", sa.String(), nullable=False),
        sa.Column("template", sa.String(), nullable=False),
        sa.Column("parameters", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("uses", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("price_plan", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("delivery_mode", sa.String(), nullable=False),
        sa.Column("term_days", sa.Integer(), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name=op.f("fk_offer_asset_id")),
        sa.ForeignKeyConstraint(["provider_id"], ["participant.id"], name=op.f("fk_offer_provider_id")),
        sa.ForeignKeyConstraint(["version_id"], ["version.id"], name=op.f("fk_offer_version_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_offer")),
    )
    with op.batch_alter_table("offer") as batch_op:
        batch_op.create_index(op.f("ix_offer_asset_id"), ["asset_id"], unique=False)
        batch_op.create_index(op.f("ix_offer_provider_id"), ["provider_id"], unique=False)
        batch_op.create_index(op.f("ix_offer_version_id"), ["version_id"], unique=False)
    op.create_table(
        "listing",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("offer_id", sa.String(), nullable=False),
        sa.Column("asset_id", sa.String(), nullable=False),
        sa.Column("version_id", sa.String(), nullable=False),
        sa.Column("operator_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("document", sa.String(), nullable=True),
        sa.Column("submitted_at", UtcDateTime(), nullable=False),
        sa.Column("listed_at", UtcDateTime(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name=op.f("fk_listing_asset_id")),
        sa.ForeignKeyConstraint(["offer_id"], ["offer.id"], name=op.f("fk_listing_offer_id")),
        sa.ForeignKeyConstraint(["operator_id"], ["participant.id"], name=op.f("fk_listing_operator_id")),
        sa.ForeignKeyConstraint(["version_id"], ["version.id"], name=op.f("fk_listing_version_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_listing")),
        sa.UniqueConstraint("offer_id", name=op.f("uq_listing_offer_id")),
    )
    with op.batch_alter_table("listing") as batch_op:
        batch_op.create_index(op.f("ix_listing_asset_id"), ["asset_id"], unique=False)
        batch_op.create_index(op.f("ix_listing_listed_at"), ["listed_at"], unique=False)
        batch_op.create_index(op.f("ix_listing_operator_id"), ["operator_id"], unique=False)
        batch_op.create_index(op.f("ix_listing_state"), ["state"], unique=False)
        batch_op.create_index(op.f("ix_listing_version_id"), ["version_id"], unique=False)
    op.create_table(
        "access_request",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("listing_id", sa.String(), nullable=False),
        sa.Column("offer_id", sa.String(), nullable=False),
        sa.Column("buyer_id", sa.String(), nullable=False),
        sa.Column("provider_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("justification", sa.String(), nullable=False),
        sa.Column("evidence", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("answered_at", UtcDateTime(), nullable=True),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("agreement_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["buyer_id"], ["participant.id"], name=op.f("fk_access_request_buyer_id")),
        sa.ForeignKeyConstraint(["listing_id"], ["listing.id"], name=op.f("fk_access_request_listing_id")),
        sa.ForeignKeyConstraint(["offer_id"], ["offer.id"], name=op.f("fk_access_request_offer_id")),
        sa.ForeignKeyConstraint(["provider_id"], ["participant.id"], name=op.f("fk_access_request_provider_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_request")),
    )
    with op.batch_alter_table("access_request") as batch_op:
        batch_op.create_index(op.f("ix_access_request_buyer_id"), ["buyer_id"], unique=False)
        batch_op.create_index(op.f("ix_access_request_listing_id"), ["listing_id"], unique=False)
        batch_op.create_index(op.f("ix_access_request_provider_id"), ["provider_id"], unique=False)
        batch_op.create_index(op.f("ix_access_request_state"), ["state"], unique=False)
    op.create_table(
        "catalogue_term",
        sa.Column("listing_id", sa.String(), nullable=False),
        sa.Column("term", sa.String(), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["listing_id"], ["listing.id"], name=op.f("fk_catalogue_term_listing_id")),
        sa.PrimaryKeyConstraint("listing_id", "term", name=op.f("pk_catalogue_term")),
    )
    with op.batch_alter_table("catalogue_term") as batch_op:
        batch_op.create_index(op.f("ix_catalogue_term_term"), ["term"], unique=False)
    op.create_table(
        "agreement",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("provider_id", sa.String(), nullable=False),
        sa.Column("buyer_id", sa.String(), nullable=False),
        sa.Column("asset_id", sa.String(), nullable=False),
        sa.Column("version_id", sa.String(), nullable=False),
        sa.Column("listing_id", sa.String(), nullable=False),
        sa.Column("certificate_code", sa.String(), nullable=False),
        sa.Column("opinion_id", sa.String(), nullable=False),
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("uses", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("price_plan", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("delivery_mode", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("drafted_at", UtcDateTime(), nullable=False),
        sa.Column("starts_at", UtcDateTime(), nullable=False),
        sa.Column("ends_at", UtcDateTime(), nullable=False),
        sa.Column("finalized_at", UtcDateTime(), nullable=True),
        sa.Column("terminated_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name=op.f("fk_agreement_asset_id")),
        sa.ForeignKeyConstraint(["buyer_id"], ["participant.id"], name=op.f("fk_agreement_buyer_id")),
        sa.ForeignKeyConstraint(["certificate_code"], ["certificate.code"], name=op.f("fk_agreement_certificate_code")),
        sa.ForeignKeyConstraint(["listing_id"], ["listing.id"], name=op.f("fk_agreement_listing_id")),
        sa.ForeignKeyConstraint(["opinion_id"], ["opinion.id"], name=op.f("fk_agreement_opinion_id")),
        sa.ForeignKeyConstraint(["provider_id"], ["participant.id"], name=op.f("fk_agreement_provider_id")),
        sa.ForeignKeyConstraint(["request_id"], ["access_request.id"], name=op.f("fk_agreement_request_id")),
        sa.ForeignKeyConstraint(["version_id"], ["version.id"], name=op.f("fk_agreement_version_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agreement")),
        sa.UniqueConstraint("request_id", name=op.f("uq_agreement_request_id")),
    )
    with op.batch_alter_table("agreement") as batch_op:
        batch_op.create_index(op.f("ix_agreement_asset_id"), ["asset_id"], unique=False)
        batch_op.create_index(op.f("ix_agreement_buyer_id"), ["buyer_id"], unique=False)
        batch_op.create_index(op.f("ix_agreement_certificate_code"), ["certificate_code"], unique=False)
        batch_op.create_index(op.f("ix_agreement_listing_id"), ["listing_id"], unique=False)
        batch_op.create_index(op.f("ix_agreement_opinion_id"), ["opinion_id"], unique=False)
        batch_op.create_index(op.f("ix_agreement_provider_id"), ["provider_id"], unique=False)
        batch_op.create_index(op.f("ix_agreement_version_id"), ["version_id"], unique=False)
    op.create_table(
        "delivery",
        sa.Column("agreement_id", sa.String(), nullable=False),
        sa.Column("manifest", sa.String(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("tar_sha256", sa.String(), nullable=False),
        sa.Column("tar_bytes", sa.BigInteger(), nullable=False),
        sa.Column("transformations", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("prepared_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["agreement_id"], ["agreement.id"], name=op.f("fk_delivery_agreement_id")),
        sa.PrimaryKeyConstraint("agreement_id", name=op.f("pk_delivery")),
    )
    op.create_table(
        "transfer",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("agreement_id", sa.String(), nullable=False),
        sa.Column("party", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("manifest", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("leg", sa.Integer(), nullable=False),
        sa.Column("leg_start", sa.BigInteger(), nullable=False),
        sa.Column("leg_end", sa.BigInteger(), nullable=False),
        sa.Column("leg_uses", sa.Integer(), nullable=False),
        sa.Column("leg_served", sa.BigInteger(), nullable=False),
        sa.Column("running_sha256", sa.String(), nullable=False),
        sa.Column("served", sa.BigInteger(), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("subjects", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("stops_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", UtcDateTime(), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["agreement_id"], ["agreement.id"], name=op.f("fk_transfer_agreement_id")),
        sa.ForeignKeyConstraint(["party"], ["participant.id"], name=op.f("fk_transfer_party")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfer")),
        sa.UniqueConstraint("agreement_id", "party", "key", name=op.f("uq_transfer_agreement_id_party_key")),
    )
    with op.batch_alter_table("transfer") as batch_op:
        batch_op.create_index(op.f("ix_transfer_agreement_id"), ["agreement_id"], unique=False)
        batch_op.create_index(op.f("ix_transfer_lease_until"), ["lease_until"], unique=False)
        batch_op.create_index(op.f("ix_transfer_state"), ["state"], unique=False)
    op.create_table(
        "usage_quota",
        sa.Column("agreement_id", sa.String(), nullable=False),
        sa.Column("uses_limit", sa.BigInteger(), nullable=True),
        sa.Column("uses_reserved", sa.BigInteger(), nullable=False),
        sa.Column("uses_settled", sa.BigInteger(), nullable=False),
        sa.Column("bytes_limit", sa.BigInteger(), nullable=True),
        sa.Column("bytes_reserved", sa.BigInteger(), nullable=False),
        sa.Column("bytes_settled", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["agreement_id"], ["agreement.id"], name=op.f("fk_usage_quota_agreement_id")),
        sa.PrimaryKeyConstraint("agreement_id", name=op.f("pk_usage_quota")),
    )
    op.create_table(
        "delivery_file",
        sa.Column("agreement_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("source_path", sa.String(), nullable=True),
        sa.Column("source_sha256", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["agreement_id"], ["delivery.agreement_id"], name=op.f("fk_delivery_file_agreement_id")
        ),
        sa.PrimaryKeyConstraint("agreement_id", "position", name=op.f("pk_delivery_file")),
    )
    with op.batch_alter_table("delivery_file") as batch_op:
        batch_op.create_index(op.f("ix_delivery_file_sha256"), ["sha256"], unique=False)


def downgrade() -> None:
    """Drop the tables."""
    for table in reversed(TABLES):
        op.drop_table(table)
