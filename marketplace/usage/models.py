"""Tables of usage control."""

from __future__ import annotations

from sqlmodel import Field, SQLModel


class UsageQuota(SQLModel, table=True):
    """What of an agreement is used up: reserve, serve, settle.

    Limits are those of the signed uses, None = unlimited; at any time reserved + settled never exceeds a limit.
    """

    __tablename__ = "usage_quota"

    agreement_id: str = Field(primary_key=True, foreign_key="agreement.id")
    uses_limit: int | None = None
    uses_reserved: int = 0
    uses_settled: int = 0
    bytes_limit: int | None = None
    bytes_reserved: int = 0
    bytes_settled: int = 0
