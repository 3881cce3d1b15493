"""Reading what was charged for in a month."""

from __future__ import annotations

from collections.abc import Collection

from sqlmodel import Session, col, func, select

from marketplace.audit import documents
from marketplace.charging.models import ChargedStudy, MonthlyCharge
from marketplace.exchange.pricing import Month
from marketplace.kernel.canonical import Json
from marketplace.negotiation.models import Agreement


def signed_plan(db: Session, agreement: Agreement) -> Json:
    """The price plan that both parties signed, whatever the agreement's row says now."""
    plan: Json = documents.content(db, agreement.document)["price_plan"]
    return plan


def month(db: Session, agreement_id: str, name: str) -> Month:
    """What an agreement was charged for in a month so far."""
    row = db.get(MonthlyCharge, (agreement_id, name), populate_existing=True)
    free = select(func.coalesce(func.sum(MonthlyCharge.trial_used), 0)).where(
        MonthlyCharge.agreement_id == agreement_id
    )
    # PostgreSQL sums BIGINT as NUMERIC, hence int().
    return Month(row.counted if row else 0, row.charged_fen if row else 0, int(db.exec(free).one()))


def counted_before(db: Session, agreement_id: str, name: str, studies: Collection[str]) -> set[str]:
    """Those of the studies that were counted already."""
    if not studies:
        return set()
    rows = select(ChargedStudy.study).where(ChargedStudy.agreement_id == agreement_id, ChargedStudy.month == name)
    return set(db.exec(rows)) & set(studies)


def months(db: Session, agreement_id: str) -> list[MonthlyCharge]:
    """Every month in which an agreement was charged by the month, in order."""
    rows = select(MonthlyCharge).where(MonthlyCharge.agreement_id == agreement_id)
    return list(db.exec(rows.order_by(col(MonthlyCharge.month))))
