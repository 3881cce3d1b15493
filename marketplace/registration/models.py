"""Tables of registration."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlmodel import Field, SQLModel

from marketplace.plumbing.db import JsonColumn, UtcDateTime


class Right(SQLModel, table=True):
    """A holding, use or operating right; several parties may hold the same one (guideline art. 21)."""

    __tablename__ = "asset_right"

    id: str = Field(primary_key=True)
    asset_id: str = Field(foreign_key="asset.id", index=True)
    application_id: str = Field(foreign_key="application.id", index=True)
    kind: str
    holder_id: str = Field(foreign_key="participant.id")
    starts_at: datetime = Field(sa_type=UtcDateTime)  # type: ignore[call-overload]
    ends_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # type: ignore[call-overload]
    limits: str = ""
    certificate_code: str | None = Field(default=None, index=True)


class Application(SQLModel, table=True):
    """An initial registration at a registrar; the states are in `registration.rules`."""

    __tablename__ = "application"

    id: str = Field(primary_key=True)
    asset_id: str = Field(foreign_key="asset.id", index=True)
    version_id: str = Field(foreign_key="version.id", index=True)
    applicant_id: str = Field(foreign_key="participant.id")
    registrar_id: str = Field(foreign_key="participant.id")
    state: str
    form: dict[str, Any] = Field(sa_type=JsonColumn)  # type: ignore[call-overload]
    filed_at: datetime = Field(sa_type=UtcDateTime)  # type: ignore[call-overload]
    accepted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # type: ignore[call-overload]
    notice_from: datetime | None = Field(default=None, sa_type=UtcDateTime)  # type: ignore[call-overload]
    notice_until: datetime | None = Field(default=None, sa_type=UtcDateTime)  # type: ignore[call-overload]
    certificate_document: str | None = None
    reason: str = ""


class Certificate(SQLModel, table=True):
    """The registrar's signed proof of rights.  code: `SJ` + region 2 + registrar 1 + YYYYMM 6 + serial 4.

    state: `valid`, `suspended`, `cancelled`; lapsed is derived from valid_until.
    """

    __tablename__ = "certificate"

    code: str = Field(primary_key=True)
    application_id: str = Field(foreign_key="application.id", unique=True)
    asset_id: str = Field(foreign_key="asset.id", index=True)
    version_id: str = Field(foreign_key="version.id", index=True)
    root: str
    document: str = Field(index=True)
    registrar_id: str = Field(foreign_key="participant.id")
    state: str = "valid"
    issued_at: datetime = Field(sa_type=UtcDateTime)  # type: ignore[call-overload]
    valid_until: datetime = Field(sa_type=UtcDateTime)  # type: ignore[call-overload]
