"""Participants with their keys, assets, collection and governance.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from marketplace.plumbing.db import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = (
    "participant",
    "seen_token",
    "asset",
    "participant_key",
    "asset_secret",
    "version",
    "collected_batch",
    "collected_file",
    "collection",
    "face_declaration",
    "governance_job",
    "stage_record",
    "version_file",
    "governed_file",
)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "participant",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("legal_name", sa.String(), nullable=False),
        sa.Column("legal_name_en", sa.String(), nullable=False),
        sa.Column("credit_code", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("roles", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("jurisdiction", sa.String(), nullable=False),
        sa.Column("foreign_controlled", sa.Boolean(), nullable=False),
        sa.Column("licence_number", sa.String(), nullable=True),
        sa.Column("verified_by", sa.String(), nullable=False),
        sa.Column("verification_method", sa.String(), nullable=False),
        sa.Column("verified_at", UtcDateTime(), nullable=False),
        sa.Column("admitted_at", UtcDateTime(), nullable=False),
        sa.Column("suspended_at", UtcDateTime(), nullable=True),
        sa.Column("is_example", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_participant")),
        sa.UniqueConstraint("credit_code", name=op.f("uq_participant_credit_code")),
    )
    op.create_table(
        "seen_token",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_seen_token")),
    )
    with op.batch_alter_table("seen_token") as batch_op:
        batch_op.create_index(op.f("ix_seen_token_expires_at"), ["expires_at"], unique=False)
    op.create_table(
        "asset",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("provider_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("name_en", sa.String(), nullable=False),
        sa.Column("overview", sa.String(), nullable=False),
        sa.Column("overview_en", sa.String(), nullable=False),
        sa.Column("industry", sa.String(), nullable=False),
        sa.Column("source_kind", sa.String(), nullable=False),
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("time_from", sa.String(), nullable=False),
        sa.Column("time_to", sa.String(), nullable=False),
        sa.Column("update_frequency", sa.String(), nullable=False),
        sa.Column("modality", sa.String(), nullable=False),
        sa.Column("body_part", sa.String(), nullable=False),
        sa.Column("keywords", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("department", sa.String(), nullable=False),
        sa.Column("contains_genomic", sa.Boolean(), nullable=False),
        sa.Column("is_example", sa.Boolean(), nullable=False),
        sa.Column("registered_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["provider_id"], ["participant.id"], name=op.f("fk_asset_provider_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_asset")),
    )
    with op.batch_alter_table("asset") as batch_op:
        batch_op.create_index(op.f("ix_asset_provider_id"), ["provider_id"], unique=False)
    op.create_table(
        "participant_key",
        sa.Column("kid", sa.String(), nullable=False),
        sa.Column("participant_id", sa.String(), nullable=False),
        sa.Column("jwk", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("alg", sa.String(), nullable=False),
        sa.Column("valid_from", UtcDateTime(), nullable=False),
        sa.Column("valid_until", UtcDateTime(), nullable=True),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["participant_id"], ["participant.id"], name=op.f("fk_participant_key_participant_id")),
        sa.PrimaryKeyConstraint("kid", name=op.f("pk_participant_key")),
    )
    with op.batch_alter_table("participant_key") as batch_op:
        batch_op.create_index(op.f("ix_participant_key_participant_id"), ["participant_id"], unique=False)
    op.create_table(
        "asset_secret",
        sa.Column("asset_id", sa.String(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name=op.f("fk_asset_secret_asset_id")),
        sa.PrimaryKeyConstraint("asset_id", name=op.f("pk_asset_secret")),
    )
    op.create_table(
        "version",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("asset_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("parent_id", sa.String(), nullable=True),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("stage_before", sa.String(), nullable=True),
        sa.Column("root", sa.String(), nullable=False),
        sa.Column("manifest", sa.String(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("left_out", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("sealed_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name=op.f("fk_version_asset_id")),
        sa.ForeignKeyConstraint(["parent_id"], ["version.id"], name=op.f("fk_version_parent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_version")),
    )
    with op.batch_alter_table("version") as batch_op:
        batch_op.create_index(op.f("ix_version_asset_id"), ["asset_id"], unique=False)
    op.create_table(
        "collected_batch",
        sa.Column("version_id", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("content", sa.String(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["version.id"], name=op.f("fk_collected_batch_version_id")),
        sa.PrimaryKeyConstraint("version_id", "label", name=op.f("pk_collected_batch")),
    )
    op.create_table(
        "collected_file",
        sa.Column("version_id", sa.String(), nullable=False),
        sa.Column("batch", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("study", sa.String(), nullable=False),
        sa.Column("series", sa.String(), nullable=False),
        sa.Column("instance", sa.String(), nullable=False),
        sa.Column("sop_class", sa.String(), nullable=False),
        sa.Column("transfer_syntax", sa.String(), nullable=False),
        sa.Column("modality", sa.String(), nullable=False),
        sa.Column("body_part", sa.String(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("columns", sa.Integer(), nullable=False),
        sa.Column("has_private", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["version.id"], name=op.f("fk_collected_file_version_id")),
        sa.PrimaryKeyConstraint("version_id", "batch", "position", name=op.f("pk_collected_file")),
    )
    with op.batch_alter_table("collected_file") as batch_op:
        batch_op.create_index(op.f("ix_collected_file_sha256"), ["sha256"], unique=False)
    op.create_table(
        "collection",
        sa.Column("version_id", sa.String(), nullable=False),
        sa.Column("source_statement", sa.String(), nullable=False),
        sa.Column("record", sa.String(), nullable=False),
        sa.Column("sealed_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["version.id"], name=op.f("fk_collection_version_id")),
        sa.PrimaryKeyConstraint("version_id", name=op.f("pk_collection")),
    )
    op.create_table(
        "face_declaration",
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("version_id", sa.String(), nullable=False),
        sa.Column("basis", sa.String(), nullable=False),
        sa.Column("prepared_at", UtcDateTime(), nullable=False),
        sa.Column("signed_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["document"], ["document.sha256"], name=op.f("fk_face_declaration_document")),
        sa.ForeignKeyConstraint(["version_id"], ["version.id"], name=op.f("fk_face_declaration_version_id")),
        sa.PrimaryKeyConstraint("document", name=op.f("pk_face_declaration")),
    )
    with op.batch_alter_table("face_declaration") as batch_op:
        batch_op.create_index(op.f("ix_face_declaration_version_id"), ["version_id"], unique=False)
    op.create_table(
        "governance_job",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("asset_id", sa.String(), nullable=False),
        sa.Column("raw_version_id", sa.String(), nullable=False),
        sa.Column("governed_version_id", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("batches", sa.Integer(), nullable=False),
        sa.Column("secret_id", sa.String(), nullable=False),
        sa.Column("declaration", sa.String(), nullable=True),
        sa.Column("profile", sa.String(), nullable=False),
        sa.Column("document", sa.String(), nullable=True),
        sa.Column("failure", sa.String(), nullable=True),
        sa.Column("metered", sa.Integer(), nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name=op.f("fk_governance_job_asset_id")),
        sa.ForeignKeyConstraint(
            ["governed_version_id"], ["version.id"], name=op.f("fk_governance_job_governed_version_id")
        ),
        sa.ForeignKeyConstraint(["raw_version_id"], ["version.id"], name=op.f("fk_governance_job_raw_version_id")),
        sa.ForeignKeyConstraint(["secret_id"], ["asset_secret.asset_id"], name=op.f("fk_governance_job_secret_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_governance_job")),
    )
    with op.batch_alter_table("governance_job") as batch_op:
        batch_op.create_index(op.f("ix_governance_job_asset_id"), ["asset_id"], unique=False)
        batch_op.create_index(op.f("ix_governance_job_governed_version_id"), ["governed_version_id"], unique=False)
        batch_op.create_index(op.f("ix_governance_job_raw_version_id"), ["raw_version_id"], unique=False)
    op.create_table(
        "stage_record",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("version_id", sa.String(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("signer", sa.String(), nullable=False),
        sa.Column("kid", sa.String(), nullable=False),
        sa.Column("alg", sa.String(), nullable=False),
        sa.Column("jws", sa.String(), nullable=False),
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("evidence", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["signer"], ["participant.id"], name=op.f("fk_stage_record_signer")),
        sa.ForeignKeyConstraint(["version_id"], ["version.id"], name=op.f("fk_stage_record_version_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stage_record")),
    )
    with op.batch_alter_table("stage_record") as batch_op:
        batch_op.create_index(op.f("ix_stage_record_version_id"), ["version_id"], unique=False)
    op.create_table(
        "version_file",
        sa.Column("version_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("study", sa.String(), nullable=False),
        sa.Column("modality", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["version_id"], ["version.id"], name=op.f("fk_version_file_version_id")),
        sa.PrimaryKeyConstraint("version_id", "position", name=op.f("pk_version_file")),
    )
    op.create_table(
        "governed_file",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("raw", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("tag", sa.String(), nullable=True),
        sa.Column("output", sa.String(), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("study", sa.String(), nullable=False),
        sa.Column("pixels", sa.String(), nullable=False),
        sa.Column("facts", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("actions", sa.JSON(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["governance_job.id"], name=op.f("fk_governed_file_job_id")),
        sa.PrimaryKeyConstraint("job_id", "position", name=op.f("pk_governed_file")),
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in reversed(TABLES):
        op.drop_table(table)
