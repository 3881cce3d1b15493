"""Tables of usage control."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint
from sqlmodel import Field, SQLModel


class UsageQuota(SQLModel, table=True):
    """What of an agreement is used up: reserve, serve, settle.

    Limits are those of the signed uses, for an amendment less what was taken under the agreements that it amended when
    it was first used; None = unlimited.  At any time reserved + settled never exceeds a limit, which
    the database itself holds up as the last of three guards (policy, conditional update, constraint).
    """

    __tablename__ = "usage_quota"
    __table_args__ = (
        CheckConstraint(
            "uses_reserved >= 0 AND uses_settled >= 0 AND bytes_reserved >= 0 AND bytes_settled >= 0", "not_negative"
        ),
        CheckConstraint(
            "(uses_limit IS NULL OR uses_reserved + uses_settled <= uses_limit)"
            " AND (bytes_limit IS NULL OR bytes_reserved + bytes_settled <= bytes_limit)",
            "within_limits",
        ),
    )

    agreement_id: str = Field(primary_key=True, foreign_key="agreement.id")
    uses_limit: int | None = Field(default=None, sa_type=BigInteger)
    uses_reserved: int = Field(default=0, sa_type=BigInteger)
    uses_settled: int = Field(default=0, sa_type=BigInteger)
    bytes_limit: int | None = Field(default=None, sa_type=BigInteger)
    bytes_reserved: int = Field(default=0, sa_type=BigInteger)
    bytes_settled: int = Field(default=0, sa_type=BigInteger)
