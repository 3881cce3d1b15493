"""Tables of usage control."""

from __future__ import annotations

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class UsageQuota(SQLModel, table=True):
    """What of an agreement is used up: reserve, serve, settle.

    Limits are those of the signed uses, None = unlimited; at any time reserved + settled never exceeds a limit.
    """

    __tablename__ = "usage_quota"

    agreement_id: str = Field(primary_key=True, foreign_key="agreement.id")
    uses_limit: int | None = Field(default=None, sa_type=BigInteger)
    uses_reserved: int = Field(default=0, sa_type=BigInteger)
    uses_settled: int = Field(default=0, sa_type=BigInteger)
    bytes_limit: int | None = Field(default=None, sa_type=BigInteger)
    bytes_reserved: int = Field(default=0, sa_type=BigInteger)
    bytes_settled: int = Field(default=0, sa_type=BigInteger)
