"""What access costs: charged when an agreement comes into force, or when the trial of a subscription is over."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from sqlmodel import Session

from marketplace.assets import queries as assets
from marketplace.costing.queries import event_by_key
from marketplace.costing.service import meter
from marketplace.exchange import queries as exchange
from marketplace.exchange.pricing import Results, Subscription, price_of_access, read_plan
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.negotiation import queries
from marketplace.negotiation.models import Agreement
from marketplace.plumbing import outbox

TRIAL_TASK = "negotiation.end_trial"


def open_access(db: Session, agreement: Agreement, now: datetime, *, trial: bool) -> None:
    """Charge what a new agreement costs, or begin its trial.  trial: `begins_with_trial`.  Records: costing:metered."""
    over = trial_over(agreement)
    if over is None or not trial:
        charge_access(db, agreement, price_of_access(agreement.price_plan).minor, now)
        return
    _charge_beside(db, agreement, now)
    outbox.enqueue(db, TRIAL_TASK, {"agreement": agreement.id}, key=agreement.id, now=now, due=over)


def charge_access(db: Session, agreement: Agreement, price_fen: int, now: datetime) -> None:
    """Charge a price of access and what is due with it: a deposit, and once per buyer the exchange's fee.

    Records: costing:metered.
    """
    _charge_price(db, agreement, price_fen, now)
    _charge_beside(db, agreement, now)


def end_trial(db: Session, agreement_id: str, now: datetime) -> None:
    """Charge the price of a subscription whose trial is over; one that ended within its trial costs nothing.

    Again changes nothing.  Records: costing:metered.
    """
    agreement = queries.agreement(db, agreement_id)
    queries.lock_agreement(db, agreement)
    over = trial_over(agreement)

    if over is None or now < over:
        return
    if agreement.terminated_at is not None and agreement.terminated_at < over:
        return
    _charge_price(db, agreement, price_of_access(agreement.price_plan).minor, now)


def begins_with_trial(db: Session, agreement: Agreement) -> bool:
    """Whether an agreement that comes into force begins with a trial: a buyer has one for an asset, however it asks.

    Holds the asset, so that of two agreements at once the second one sees the first.
    """
    if trial_over(agreement) is None:
        return False
    assets.lock_asset(db, agreement.asset_id)
    return not queries.had_access(db, agreement.buyer_id, agreement.asset_id)


def trial_days(db: Session, agreement: Agreement) -> int:
    """Days of the trial that an agreement would begin with, has or had; 0 where its price was due at once."""
    over = trial_over(agreement)
    if over is None:
        return 0
    charge = event_by_key(db, _key(agreement))
    if charge is not None and charge.at < over:
        return 0
    if agreement.finalized_at is None and queries.had_access(db, agreement.buyer_id, agreement.asset_id):
        return 0
    return (over - agreement.starts_at).days


def trial_over(agreement: Agreement) -> datetime | None:
    """When the trial of an agreement ends, None for a plan without."""
    plan = read_plan(agreement.price_plan)
    if not isinstance(plan, Subscription) or plan.trial_days is None:
        return None
    return agreement.starts_at + timedelta(days=plan.trial_days)


def charged(db: Session, agreement: Agreement) -> bool:
    """Whether the price of access was charged: not while a trial runs, and never where it was left within."""
    return event_by_key(db, _key(agreement)) is not None


def _charge_price(db: Session, agreement: Agreement, price_fen: int, now: datetime) -> None:
    operator = exchange.listing(db, agreement.listing_id).operator_id
    sale = _charging(db, agreement, now, payee=agreement.provider_id, venue=operator)
    sale("sale.access", key=_key(agreement), unit_price_fen=price_fen)


def _charge_beside(db: Session, agreement: Agreement, now: datetime) -> None:
    operator = exchange.listing(db, agreement.listing_id).operator_id
    plan = read_plan(agreement.price_plan)
    if isinstance(plan, Results) and plan.deposit_fen:
        deposit = _charging(db, agreement, now, payee=agreement.provider_id, venue=operator)
        deposit("escrow.deposit", key=f"deposit:{agreement.id}", unit_price_fen=plan.deposit_fen)
    # The key makes the one-off fee one-off: a buyer's second agreement finds its event there.
    fee = _charging(db, agreement, now, payee=operator)
    fee("exchange.buyer_fee", key=f"buyer-fee:{operator}:{agreement.buyer_id}")


def _charging(
    db: Session, agreement: Agreement, now: datetime, *, payee: str, venue: str | None = None
) -> partial[str]:
    return partial(
        meter,
        db,
        SERVICE_ACTOR,
        quantity=1,
        now=now,
        payer=agreement.buyer_id,
        payee=payee,
        venue=venue,
        asset=agreement.asset_id,
        version=agreement.version_id,
        agreement=agreement.id,
    )


def _key(agreement: Agreement) -> str:
    return f"sale:{agreement.id}"
