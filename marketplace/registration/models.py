"""Tables of registration."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from marketplace.plumbing.db import JsonColumn, UtcDateTime


class Right(SQLModel, table=True):
    """A holding, use or operating right; several parties may hold the same one (guideline art. 21).

    The row counts from issue on, and only while its certificate is valid.
    """

    __tablename__ = "asset_right"

    id: str = Field(primary_key=True)
    asset_id: str = Field(foreign_key="asset.id", index=True)
    application_id: str = Field(foreign_key="application.id", index=True)
    kind: str
    holder_id: str = Field(foreign_key="participant.id")
    starts_at: datetime = Field(sa_type=UtcDateTime, index=True)
    ends_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)
    limits: str = ""
    certificate_code: str | None = Field(default=None, index=True)


class Application(SQLModel, table=True):
    """An initial registration at a registrar; the states are in `registration.rules`.

    document: SHA-256 of the application as filed; form: the same answers; review: the registrar's three findings;
    notice_document: the public notice; certificate_code and certificate_document: as prepared for signature.
    """

    __tablename__ = "application"
    __table_args__ = (
        Index("ix_application_applicant_filed", "applicant_id", "filed_at", "id"),
        Index("ix_application_registrar_filed", "registrar_id", "filed_at", "id"),
        Index("ix_application_notice_until", "notice_until", "id"),
    )

    id: str = Field(primary_key=True)
    asset_id: str = Field(foreign_key="asset.id", index=True)
    version_id: str = Field(foreign_key="version.id", index=True)
    applicant_id: str = Field(foreign_key="participant.id")
    registrar_id: str = Field(foreign_key="participant.id")
    opinion_id: str = Field(foreign_key="opinion.id")
    state: str = Field(index=True)
    document: str
    form: dict[str, Any] = Field(sa_type=JsonColumn)
    filed_at: datetime = Field(sa_type=UtcDateTime)
    accepted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    review: dict[str, Any] | None = Field(default=None, sa_type=JsonColumn)
    notice_document: str | None = None
    notice_from: datetime | None = Field(default=None, sa_type=UtcDateTime)
    notice_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    certificate_code: str | None = None
    certificate_document: str | None = None
    reason: str = ""


class Objection(SQLModel, table=True):
    """Somebody objects during the public notice (art. 25).  state: `open`, `dismissed`, `upheld`."""

    __tablename__ = "objection"

    id: str = Field(primary_key=True)
    application_id: str = Field(foreign_key="application.id", index=True)
    objector_id: str = Field(foreign_key="participant.id")
    grounds: str
    evidence: list[str] = Field(sa_type=JsonColumn)
    state: str = "open"
    ruling: str = ""
    raised_at: datetime = Field(sa_type=UtcDateTime)
    inquiry_until: datetime = Field(sa_type=UtcDateTime)
    settled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class RegistrarSeat(SQLModel, table=True):
    """The digits by which certificate codes name a registrar: region of its credit code, then its own digit."""

    __tablename__ = "registrar_seat"
    __table_args__ = (UniqueConstraint("region", "digit"),)

    participant_id: str = Field(primary_key=True, foreign_key="participant.id")
    region: str
    digit: int


class CertificateSerial(SQLModel, table=True):
    """The last serial given under a code prefix: `SJ` + region + registrar + month."""

    __tablename__ = "certificate_serial"

    prefix: str = Field(primary_key=True)
    last: int = 0


class Certificate(SQLModel, table=True):
    """The registrar's signed proof of rights.  code: `SJ` + region 2 + registrar 1 + YYYYMM 6 + serial 4.

    state: `valid`, `suspended`, `cancelled`; lapsed is derived from valid_until.
    reason, state_at: why and when it came to the present state.
    """

    __tablename__ = "certificate"

    code: str = Field(primary_key=True)
    application_id: str = Field(foreign_key="application.id", unique=True)
    asset_id: str = Field(foreign_key="asset.id", index=True)
    version_id: str = Field(foreign_key="version.id", index=True)
    root: str = Field(index=True)
    document: str = Field(index=True)
    registrar_id: str = Field(foreign_key="participant.id")
    state: str = "valid"
    state_at: datetime = Field(sa_type=UtcDateTime)
    reason: str = ""
    issued_at: datetime = Field(sa_type=UtcDateTime, index=True)
    valid_until: datetime = Field(sa_type=UtcDateTime, index=True)
