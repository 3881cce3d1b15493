"""Tables of charging."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint
from sqlmodel import Field, SQLModel


class MonthlyCharge(SQLModel, table=True):
    """What an agreement was charged for in one month of China's calendar, `2026-09`, and with it every amendment of it.

    agreement_id: the first one of that line.  Plain prices per use keep no counters (`queries.plain_uses`).
    counted: what was metered and not free, in the quanta of the plan's measure (uses, studies, bytes); trial_used: what
    was free.  cap_fen: of the plan in force less what plain prices cost, or what was charged already where an
    amendment set a lower one, None = none; the database itself holds it up as the last of two guards.
    """

    __tablename__ = "monthly_charge"
    __table_args__ = (
        CheckConstraint("counted >= 0 AND charged_fen >= 0 AND trial_used >= 0", "not_negative"),
        CheckConstraint("cap_fen IS NULL OR charged_fen <= cap_fen", "within_cap"),
    )

    agreement_id: str = Field(primary_key=True, foreign_key="agreement.id")
    month: str = Field(primary_key=True)
    counted: int = Field(default=0, sa_type=BigInteger)
    charged_fen: int = Field(default=0, sa_type=BigInteger)
    trial_used: int = Field(default=0, sa_type=BigInteger)
    cap_fen: int | None = Field(default=None, sa_type=BigInteger)


class ChargedStudy(SQLModel, table=True):
    """A study that was counted: once for each month as a scan, once for the agreement (month "") as a case.

    agreement_id: the first one of a line of amendments.
    """

    __tablename__ = "charged_study"

    agreement_id: str = Field(primary_key=True, foreign_key="agreement.id")
    month: str = Field(primary_key=True)
    study: str = Field(primary_key=True)
