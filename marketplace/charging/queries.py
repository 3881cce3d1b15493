"""Reading what was charged for in a month."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlmodel import Session, col, func, select

from marketplace.audit import documents
from marketplace.charging import rules
from marketplace.charging.models import ChargedStudy, MonthlyCharge
from marketplace.charging.rules import Plain
from marketplace.costing.models import MeterEvent
from marketplace.exchange.pricing import Month, rate_of, read_plan
from marketplace.kernel.canonical import Json
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.rules import AgreementState
from marketplace.negotiation.succession.queries import amended


def signed_plan(db: Session, agreement: Agreement) -> Json:
    """The price plan that both parties signed, whatever the agreement's row says now."""
    plan: Json = documents.content(db, agreement.document)["price_plan"]
    return plan


def first_of(db: Session, agreement_id: str) -> str:
    """Id of the agreement under which an agreement's months are counted: itself, or the first that it amended."""
    return [agreement_id, *amended(db, agreement_id)][-1]


def has_minimum(db: Session, agreement: Agreement) -> bool:
    """Whether a month of an agreement costs something at least."""
    rate = rate_of(read_plan(signed_plan(db, agreement)))
    return rate is not None and rate.minimum_fen > 0


def closes(agreement: Agreement, after: datetime) -> bool:
    """Whether an agreement closes the month that ends at a moment: in force by then, and not amended before it."""
    if agreement.finalized_at is None or agreement.finalized_at >= after:
        return False
    ended = agreement.terminated_at if agreement.state == AgreementState.SUPERSEDED else None
    return ended is None or ended >= after


def term(db: Session, agreement: Agreement, first: str) -> tuple[datetime, datetime]:
    """From when, by the first of its line, until when an agreement allowed uses; it is in force or was."""
    begun = db.get_one(Agreement, first)
    assert begun.finalized_at is not None
    ends = min(agreement.ends_at, agreement.terminated_at or agreement.ends_at)
    return max(begun.starts_at, begun.finalized_at), ends


def had(db: Session, agreement: Agreement, name: str) -> Month:
    """What an agreement and those it amended were charged for in a month so far."""
    counters = month(db, first_of(db, agreement.id), name)
    return plain_uses(db, agreement.id, name).with_counters(counters)


def plain_uses(db: Session, agreement_id: str, name: str) -> Plain:
    """What a month has had under those agreements that this one amended whose price per use was plain."""
    line = [one for one in amended(db, agreement_id) if _is_plain(db, one)]
    if not line:
        return Plain()
    first, after = rules.month_bounds(name)
    rows = select(func.count(), func.sum(MeterEvent.unit_price_fen)).where(
        col(MeterEvent.agreement_id).in_(line),
        MeterEvent.kind == rules.KIND,
        MeterEvent.at >= first,
        MeterEvent.at < after,
    )
    uses, fen = db.exec(rows).one()
    return Plain(uses, int(fen or 0))


def _is_plain(db: Session, agreement_id: str) -> bool:
    return rules.is_plain(rate_of(read_plan(signed_plan(db, db.get_one(Agreement, agreement_id)))))


def month(db: Session, agreement_id: str, name: str) -> Month:
    """What the counters of an agreement, the first of its line, say of a month; free uses of all its months."""
    row = db.get(MonthlyCharge, (agreement_id, name), populate_existing=True)
    free = select(func.coalesce(func.sum(MonthlyCharge.trial_used), 0)).where(
        MonthlyCharge.agreement_id == agreement_id
    )
    # PostgreSQL sums BIGINT as NUMERIC, hence int().
    return Month(row.counted if row else 0, row.charged_fen if row else 0, int(db.exec(free).one()))


def counted_before(db: Session, agreement_id: str, name: str, studies: Collection[str]) -> set[str]:
    """Those of the studies that were counted already under an agreement, the first of its line."""
    if not studies:
        return set()
    rows = select(ChargedStudy.study).where(ChargedStudy.agreement_id == agreement_id, ChargedStudy.month == name)
    return set(db.exec(rows)) & set(studies)


def months(db: Session, agreement_id: str) -> list[MonthlyCharge]:
    """Every month in which an agreement, the first of its line, was charged by the month, in order."""
    rows = select(MonthlyCharge).where(MonthlyCharge.agreement_id == agreement_id)
    return list(db.exec(rows.order_by(col(MonthlyCharge.month))))
