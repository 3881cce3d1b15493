"""The verbs of charging: charge what a use has taken, and at the end of a month what is due at least."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from marketplace.audit.entry import Tag, record
from marketplace.charging import queries, rules
from marketplace.charging.models import ChargedStudy, MonthlyCharge
from marketplace.charging.rules import Used
from marketplace.costing.service import meter
from marketplace.exchange.pricing import Charge, Month, Rate, charge_of, minimum_of, price_of_use, rate_of, read_plan
from marketplace.exchange.queries import listing
from marketplace.kernel.actor import SERVICE_ACTOR, Actor
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Conflict
from marketplace.negotiation.models import Agreement

KIND = "use.transfer"


class MonthMoved(Conflict):
    """Another use was charged to this month at the same moment."""


def charge(db: Session, actor: Actor, agreement: Agreement, plan: Json, used: Used, now: datetime) -> int:
    """Charge what one leg of a transfer served, by the signed plan; returns the fen it cost.

    A use is metered once, also at zero; what other units come to is metered beside it.  A month never costs more than
    the plan's cap, however many are charged at once.  A leg is charged once, by whoever closes it.
    Raises MonthMoved.  Records: costing:metered, and charging:use_priced where the month counts.
    """
    rate = rate_of(read_plan(plan))

    if rate is None or (rate.linear and rate.measure == "use"):
        amount = price_of_use(plan).minor * used.uses
        return _meter_use(db, actor, agreement, used, amount, now)
    name = rules.month_of(now)
    before = _hold(db, agreement, name, rate)
    charged = charge_of(rate, before, rules.quanta(rate, used, _count_studies(db, agreement, name, rate, used)))

    _advance(db, agreement, name, before, charged)
    _record(db, actor, agreement, used, name, rate, charged, now)

    if rate.measure == "use":
        return _meter_use(db, actor, agreement, used, charged.amount_fen, now)
    _meter_use(db, actor, agreement, used, 0, now)
    if charged.amount_fen:
        key = f"use.metered:{used.transfer}:{used.leg}"
        _meter(db, actor, agreement, key, charged.amount_fen, now)
    return charged.amount_fen


def close_month(db: Session, agreement: Agreement, month: str, now: datetime) -> int:
    """Charge what a month that is over costs at least and was not charged; returns the fen.

    A month that is not over, or one that was closed before, is left as it is.
    Records: costing:metered, charging:use_priced.
    """
    rate = rate_of(read_plan(queries.signed_plan(db, agreement)))
    _, after = rules.month_bounds(month)

    if rate is None or not rate.minimum_fen or agreement.finalized_at is None or now < after:
        return 0
    ends = min(agreement.ends_at, agreement.terminated_at or agreement.ends_at)
    days, total = rules.days_in_force(month, max(agreement.starts_at, agreement.finalized_at), ends)
    if not minimum_of(rate, queries.month(db, agreement.id, month).charged_fen, days, total):
        return 0
    before = _hold(db, agreement, month, rate)
    due = minimum_of(rate, before.charged_fen, days, total)
    charged = Charge(0, 0, due, False, Month(before.counted, before.charged_fen + due, before.trial_used))

    _advance(db, agreement, month, before, charged)
    used = Used(f"minimum:{month}", 0, 0, 0)
    _record(db, SERVICE_ACTOR, agreement, used, month, rate, charged, now)

    _meter(db, SERVICE_ACTOR, agreement, f"use.minimum:{agreement.id}:{month}", due, now)
    return due


def _hold(db: Session, agreement: Agreement, month: str, rate: Rate) -> Month:
    """Make sure the month is there and keep other charges of this agreement waiting until the transaction ends."""
    insert = sqlite.insert if db.get_bind().dialect.name == "sqlite" else postgresql.insert
    row = insert(MonthlyCharge).values(
        agreement_id=agreement.id, month=month, counted=0, charged_fen=0, trial_used=0, cap_fen=rate.cap_fen
    )
    db.exec(row.on_conflict_do_nothing(index_elements=["agreement_id", "month"]))
    held = select(MonthlyCharge.month).where(MonthlyCharge.agreement_id == agreement.id)
    db.exec(held.order_by(col(MonthlyCharge.month)).with_for_update()).all()
    return queries.month(db, agreement.id, month)


def _count_studies(db: Session, agreement: Agreement, month: str, rate: Rate, used: Used) -> int:
    """Note the studies of a use that were not counted before; how many."""
    if not rules.measures_studies(rate):
        return 0
    scope = "" if rate.measure == "case" else month
    new = sorted(used.studies - queries.counted_before(db, agreement.id, scope, used.studies))
    db.add_all(ChargedStudy(agreement_id=agreement.id, month=scope, study=study) for study in new)
    db.flush()
    return len(new)


def _advance(db: Session, agreement: Agreement, month: str, before: Month, charged: Charge) -> None:
    after = charged.after
    moved = db.exec(
        update(MonthlyCharge)
        .where(
            col(MonthlyCharge.agreement_id) == agreement.id,
            col(MonthlyCharge.month) == month,
            col(MonthlyCharge.counted) == before.counted,
            col(MonthlyCharge.charged_fen) == before.charged_fen,
        )
        .values(
            counted=after.counted,
            charged_fen=after.charged_fen,
            trial_used=MonthlyCharge.trial_used + after.trial_used - before.trial_used,
        )
        .execution_options(synchronize_session=False)
    )
    if moved.rowcount != 1:
        raise MonthMoved("the month was charged at the same moment", got=f"{agreement.id} {month}", action="try again")


def _record(
    db: Session,
    actor: Actor,
    agreement: Agreement,
    used: Used,
    month: str,
    rate: Rate,
    charged: Charge,
    now: datetime,
) -> None:
    facts: Json = {
        "use": used.transfer,
        "leg": used.leg,
        "month": month,
        "measure": rate.measure,
        "quanta": str(charged.quanta),  # bytes may pass 2^53 one day
        "free": str(charged.free),
        "counted": str(charged.after.counted),
        "amount_fen": charged.amount_fen,
        "charged_fen": charged.after.charged_fen,
        "capped": charged.capped,
    }
    about = {"asset": agreement.asset_id, "version": agreement.version_id, "agreement": agreement.id}
    record(db, actor, Tag.USE_PRICED, now, **about, facts=facts)


def _meter_use(db: Session, actor: Actor, agreement: Agreement, used: Used, amount: int, now: datetime) -> int:
    if not used.uses:
        return 0
    _meter(db, actor, agreement, f"{KIND}:{used.transfer}", amount, now)
    return amount


def _meter(db: Session, actor: Actor, agreement: Agreement, key: str, amount: int, now: datetime) -> None:
    meter(
        db,
        actor,
        KIND,
        1,
        now,
        key=key,
        asset=agreement.asset_id,
        version=agreement.version_id,
        agreement=agreement.id,
        payer=agreement.buyer_id,
        payee=agreement.provider_id,
        venue=listing(db, agreement.listing_id).operator_id,
        unit_price_fen=amount,
    )
