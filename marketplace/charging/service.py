"""The verbs of charging: charge what a use has taken, and at the end of a month what is due at least."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from marketplace.audit.entry import Tag, record
from marketplace.charging import queries, rules
from marketplace.charging.models import ChargedStudy, MonthlyCharge
from marketplace.charging.rules import KIND, Plain, Used
from marketplace.costing.service import meter
from marketplace.exchange.pricing import Charge, Month, Rate, charge_of, minimum_of, price_of_use, rate_of, read_plan
from marketplace.exchange.queries import listing
from marketplace.kernel.actor import SERVICE_ACTOR, Actor
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Conflict
from marketplace.negotiation.models import Agreement


class MonthMoved(Conflict):
    """Another use was charged to this month at the same moment."""


@dataclass(frozen=True)
class Held:
    """A month that this transaction holds.  first: agreement under which it is counted; before: all that it has had.

    plain: of that, what its counters do not say.
    """

    first: str
    month: str
    before: Month
    plain: Plain


def charge(db: Session, actor: Actor, agreement: Agreement, plan: Json, used: Used, now: datetime) -> int:
    """Charge what one leg of a transfer served, by the signed plan; returns the fen it cost.

    A use is metered once, also at zero; what other units come to is metered beside it.  A month never costs more than
    the plan's cap, however many are charged at once; an amendment goes on with the counters of what it
    amended.  A leg is charged once, by whoever closes it.
    Raises MonthMoved.  Records: costing:metered, and charging:use_priced where the month counts.
    """
    rate = rate_of(read_plan(plan))

    if rate is None or rules.is_plain(rate):
        amount = price_of_use(plan).minor * used.uses
        return _meter_use(db, actor, agreement, used, amount, now)
    held = _hold(db, agreement, rules.month_of(now), rate)
    charged = charge_of(rate, held.before, rules.quanta(rate, used, _count_studies(db, held, rate, used)))

    _advance(db, held, charged)
    _record(db, actor, agreement, held, used, rate, charged, now)

    if rate.measure == "use":
        return _meter_use(db, actor, agreement, used, charged.amount_fen, now)
    _meter_use(db, actor, agreement, used, 0, now)
    if charged.amount_fen:
        key = f"use.metered:{used.transfer}:{used.leg}"
        _meter(db, actor, agreement, key, charged.amount_fen, now)
    return charged.amount_fen


def close_month(db: Session, agreement: Agreement, month: str, now: datetime) -> int:
    """Charge what a month that is over costs at least and was not charged; returns the fen.

    A month that is not over, or one that was closed before, is left as it is.  The minimum of a month is that of the
    plan in force at its end, for the days of the whole line of amendments.
    Records: costing:metered, charging:use_priced.
    """
    rate = rate_of(read_plan(queries.signed_plan(db, agreement)))
    _, after = rules.month_bounds(month)

    if rate is None or not rate.minimum_fen or now < after or not queries.closes(agreement, after):
        return 0
    days, total = rules.days_in_force(month, *queries.term(db, agreement, queries.first_of(db, agreement.id)))
    if not minimum_of(rate, queries.had(db, agreement, month).charged_fen, days, total):
        return 0
    held = _hold(db, agreement, month, rate)
    before = held.before
    due = minimum_of(rate, before.charged_fen, days, total)
    charged = Charge(0, 0, due, False, Month(before.counted, before.charged_fen + due, before.trial_used))

    _advance(db, held, charged)
    used = Used(f"minimum:{month}", 0, 0, 0)
    _record(db, SERVICE_ACTOR, agreement, held, used, rate, charged, now)

    _meter(db, SERVICE_ACTOR, agreement, f"use.minimum:{held.first}:{month}", due, now)
    return due


def _hold(db: Session, agreement: Agreement, month: str, rate: Rate) -> Held:
    """Make sure the month is there and keep other charges of this agreement waiting until the transaction ends."""
    first = queries.first_of(db, agreement.id)
    insert = sqlite.insert if db.get_bind().dialect.name == "sqlite" else postgresql.insert
    row = insert(MonthlyCharge).values(
        agreement_id=first, month=month, counted=0, charged_fen=0, trial_used=0, cap_fen=rate.cap_fen
    )
    db.exec(row.on_conflict_do_nothing(index_elements=["agreement_id", "month"]))
    kept = select(MonthlyCharge.month).where(MonthlyCharge.agreement_id == first)
    db.exec(kept.order_by(col(MonthlyCharge.month)).with_for_update()).all()
    counters, plain = queries.month(db, first, month), queries.plain_uses(db, agreement.id, month)
    # A cap that an amendment has lowered below what was charged allows no more; what was charged stays.
    cap = None if rate.cap_fen is None else max(rate.cap_fen - plain.fen, counters.charged_fen)
    db.get_one(MonthlyCharge, (first, month)).cap_fen = cap
    db.flush()
    return Held(first, month, plain.with_counters(counters), plain)


def _count_studies(db: Session, held: Held, rate: Rate, used: Used) -> int:
    """Note the studies of a use that were not counted before; how many."""
    if not rules.measures_studies(rate):
        return 0
    scope = "" if rate.measure == "case" else held.month
    new = sorted(used.studies - queries.counted_before(db, held.first, scope, used.studies))
    db.add_all(ChargedStudy(agreement_id=held.first, month=scope, study=study) for study in new)
    db.flush()
    return len(new)


def _advance(db: Session, held: Held, charged: Charge) -> None:
    before, after, plain = held.before, charged.after, held.plain
    moved = db.exec(
        update(MonthlyCharge)
        .where(
            col(MonthlyCharge.agreement_id) == held.first,
            col(MonthlyCharge.month) == held.month,
            col(MonthlyCharge.counted) == before.counted - plain.uses,
            col(MonthlyCharge.charged_fen) == before.charged_fen - plain.fen,
        )
        .values(
            counted=after.counted - plain.uses,
            charged_fen=after.charged_fen - plain.fen,
            trial_used=MonthlyCharge.trial_used + after.trial_used - before.trial_used,
        )
        .execution_options(synchronize_session=False)
    )
    if moved.rowcount != 1:
        got = f"{held.first} {held.month}"
        raise MonthMoved("the month was charged at the same moment", got=got, action="try again")


def _record(
    db: Session, actor: Actor, agreement: Agreement, held: Held, used: Used, rate: Rate, charged: Charge, now: datetime
) -> None:
    plain = held.plain
    facts: Json = {
        "use": used.transfer,
        "leg": used.leg,
        "month": held.month,
        "measure": rate.measure,
        "quanta": str(charged.quanta),  # bytes may pass 2^53 one day
        "free": str(charged.free),
        "counted": str(charged.after.counted - plain.uses),
        "amount_fen": charged.amount_fen,
        "charged_fen": charged.after.charged_fen - plain.fen,
        "capped": charged.capped,
    }
    facts |= {"counted_under": held.first} if held.first != agreement.id else {}
    facts |= {"plain_uses": plain.uses, "plain_fen": plain.fen} if plain.uses else {}
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
