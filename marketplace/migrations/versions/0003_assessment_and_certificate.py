"""Legal assessment and registration.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from marketplace.plumbing.db import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = (
    "certificate_serial",
    "registrar_seat",
    "evidence",
    "opinion",
    "application",
    "opinion_condition",
    "asset_right",
    "certificate",
    "objection",
)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "certificate_serial",
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("prefix", name=op.f("pk_certificate_serial")),
    )
    op.create_table(
        "registrar_seat",
        sa.Column("participant_id", sa.String(), nullable=False),
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("digit", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["participant_id"], ["participant.id"], name=op.f("fk_registrar_seat_participant_id")),
        sa.PrimaryKeyConstraint("participant_id", name=op.f("pk_registrar_seat")),
        sa.UniqueConstraint("region", "digit", name=op.f("uq_registrar_seat_region_digit")),
    )
    op.create_table(
        "evidence",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("asset_id", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("owner_id", sa.String(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("added_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name=op.f("fk_evidence_asset_id")),
        sa.ForeignKeyConstraint(["owner_id"], ["participant.id"], name=op.f("fk_evidence_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evidence")),
        sa.UniqueConstraint("asset_id", "sha256", name=op.f("uq_evidence_asset_id_sha256")),
    )
    with op.batch_alter_table("evidence") as batch_op:
        batch_op.create_index(op.f("ix_evidence_asset_id"), ["asset_id"], unique=False)
        batch_op.create_index(op.f("ix_evidence_sha256"), ["sha256"], unique=False)
    op.create_table(
        "opinion",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("version_id", sa.String(), nullable=False),
        sa.Column("firm_id", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("root", sa.String(), nullable=False),
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("law_profile", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("carried_from", sa.String(), nullable=True),
        sa.Column("drafted_at", UtcDateTime(), nullable=False),
        sa.Column("signed_at", UtcDateTime(), nullable=True),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["carried_from"], ["opinion.id"], name=op.f("fk_opinion_carried_from")),
        sa.ForeignKeyConstraint(["firm_id"], ["participant.id"], name=op.f("fk_opinion_firm_id")),
        sa.ForeignKeyConstraint(["version_id"], ["version.id"], name=op.f("fk_opinion_version_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_opinion")),
    )
    with op.batch_alter_table("opinion") as batch_op:
        batch_op.create_index(op.f("ix_opinion_firm_id"), ["firm_id"], unique=False)
        batch_op.create_index(op.f("ix_opinion_version_id"), ["version_id"], unique=False)
    op.create_table(
        "application",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("asset_id", sa.String(), nullable=False),
        sa.Column("version_id", sa.String(), nullable=False),
        sa.Column("applicant_id", sa.String(), nullable=False),
        sa.Column("registrar_id", sa.String(), nullable=False),
        sa.Column("opinion_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("form", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("filed_at", UtcDateTime(), nullable=False),
        sa.Column("accepted_at", UtcDateTime(), nullable=True),
        sa.Column("review", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("notice_document", sa.String(), nullable=True),
        sa.Column("notice_from", UtcDateTime(), nullable=True),
        sa.Column("notice_until", UtcDateTime(), nullable=True),
        sa.Column("certificate_code", sa.String(), nullable=True),
        sa.Column("certificate_document", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["applicant_id"], ["participant.id"], name=op.f("fk_application_applicant_id")),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name=op.f("fk_application_asset_id")),
        sa.ForeignKeyConstraint(["opinion_id"], ["opinion.id"], name=op.f("fk_application_opinion_id")),
        sa.ForeignKeyConstraint(["registrar_id"], ["participant.id"], name=op.f("fk_application_registrar_id")),
        sa.ForeignKeyConstraint(["version_id"], ["version.id"], name=op.f("fk_application_version_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_application")),
    )
    with op.batch_alter_table("application") as batch_op:
        batch_op.create_index(op.f("ix_application_applicant_id"), ["applicant_id"], unique=False)
        batch_op.create_index(op.f("ix_application_asset_id"), ["asset_id"], unique=False)
        batch_op.create_index(op.f("ix_application_registrar_id"), ["registrar_id"], unique=False)
        batch_op.create_index(op.f("ix_application_state"), ["state"], unique=False)
        batch_op.create_index(op.f("ix_application_version_id"), ["version_id"], unique=False)
    op.create_table(
        "opinion_condition",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("opinion_id", sa.String(), nullable=False),
        sa.Column("item", sa.Integer(), nullable=False),
        sa.Column("condition", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("met_at", UtcDateTime(), nullable=True),
        sa.Column("proof", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["opinion_id"], ["opinion.id"], name=op.f("fk_opinion_condition_opinion_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_opinion_condition")),
    )
    with op.batch_alter_table("opinion_condition") as batch_op:
        batch_op.create_index(op.f("ix_opinion_condition_opinion_id"), ["opinion_id"], unique=False)
    op.create_table(
        "asset_right",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("asset_id", sa.String(), nullable=False),
        sa.Column("application_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("holder_id", sa.String(), nullable=False),
        sa.Column("starts_at", UtcDateTime(), nullable=False),
        sa.Column("ends_at", UtcDateTime(), nullable=True),
        sa.Column("limits", sa.String(), nullable=False),
        sa.Column("certificate_code", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["application_id"], ["application.id"], name=op.f("fk_asset_right_application_id")),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name=op.f("fk_asset_right_asset_id")),
        sa.ForeignKeyConstraint(["holder_id"], ["participant.id"], name=op.f("fk_asset_right_holder_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_asset_right")),
    )
    with op.batch_alter_table("asset_right") as batch_op:
        batch_op.create_index(op.f("ix_asset_right_application_id"), ["application_id"], unique=False)
        batch_op.create_index(op.f("ix_asset_right_asset_id"), ["asset_id"], unique=False)
        batch_op.create_index(op.f("ix_asset_right_certificate_code"), ["certificate_code"], unique=False)
    op.create_table(
        "certificate",
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("application_id", sa.String(), nullable=False),
        sa.Column("asset_id", sa.String(), nullable=False),
        sa.Column("version_id", sa.String(), nullable=False),
        sa.Column("root", sa.String(), nullable=False),
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("registrar_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("state_at", UtcDateTime(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("issued_at", UtcDateTime(), nullable=False),
        sa.Column("valid_until", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["application_id"], ["application.id"], name=op.f("fk_certificate_application_id")),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name=op.f("fk_certificate_asset_id")),
        sa.ForeignKeyConstraint(["registrar_id"], ["participant.id"], name=op.f("fk_certificate_registrar_id")),
        sa.ForeignKeyConstraint(["version_id"], ["version.id"], name=op.f("fk_certificate_version_id")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_certificate")),
        sa.UniqueConstraint("application_id", name=op.f("uq_certificate_application_id")),
    )
    with op.batch_alter_table("certificate") as batch_op:
        batch_op.create_index(op.f("ix_certificate_asset_id"), ["asset_id"], unique=False)
        batch_op.create_index(op.f("ix_certificate_document"), ["document"], unique=False)
        batch_op.create_index(op.f("ix_certificate_root"), ["root"], unique=False)
        batch_op.create_index(op.f("ix_certificate_version_id"), ["version_id"], unique=False)
    op.create_table(
        "objection",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("application_id", sa.String(), nullable=False),
        sa.Column("objector_id", sa.String(), nullable=False),
        sa.Column("grounds", sa.String(), nullable=False),
        sa.Column("evidence", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("ruling", sa.String(), nullable=False),
        sa.Column("raised_at", UtcDateTime(), nullable=False),
        sa.Column("inquiry_until", UtcDateTime(), nullable=False),
        sa.Column("settled_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["application_id"], ["application.id"], name=op.f("fk_objection_application_id")),
        sa.ForeignKeyConstraint(["objector_id"], ["participant.id"], name=op.f("fk_objection_objector_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_objection")),
    )
    with op.batch_alter_table("objection") as batch_op:
        batch_op.create_index(op.f("ix_objection_application_id"), ["application_id"], unique=False)


def downgrade() -> None:
    """Drop the tables."""
    for table in reversed(TABLES):
        op.drop_table(table)
