"""The verbs of a running transfer: grant a window, close, sweep.  Opening one is in `opening`."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from sqlmodel import Session
from structlog import get_logger

from marketplace.audit.entry import Tag, record
from marketplace.charging import service as charging
from marketplace.charging.rules import Used, measures_bytes, measures_studies
from marketplace.costing.service import meter
from marketplace.exchange.pricing import rate_of, read_plan
from marketplace.kernel.actor import SERVICE_ACTOR, Actor
from marketplace.kernel.canonical import Json
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import Agreement
from marketplace.plumbing.runtime import Runtime
from marketplace.transfer import queries, rules
from marketplace.transfer.measuring import bytes_first_served, studies_served
from marketplace.transfer.models import Transfer
from marketplace.usage import queries as usage_queries
from marketplace.usage import quotas
from marketplace.usage import rules as usage_rules


def grant_window(
    db: Session,
    actor: Actor,
    transfer_id: str,
    leg: int,
    length: int,
    running_sha256: str,
    now: datetime,
    *,
    lease_seconds: int,
    skew_seconds: int,
) -> str | None:
    """Log a window before its bytes leave; a reason instead when it may not.  Its bytes follow the commit.

    length: bytes of the window; running_sha256: of the leg's bytes up to its end; lease_seconds: silence allowed;
    skew_seconds: how far the clock may be behind the log.
    Records: transfer:window_served.
    """
    row = queries.held(db, transfer_id)
    try:
        now = usage_rules.floored(now, usage_queries.latest_entry(db), skew_seconds=skew_seconds)
    except usage_rules.ClockBehind:
        return rules.CLOCK_BEHIND
    reason = _stop_reason(db, row, leg, length, now)
    if reason is not None:
        return reason

    offset = row.leg_start + row.leg_served
    row.leg_served += length
    row.running_sha256 = running_sha256
    row.lease_until = now + timedelta(seconds=lease_seconds)
    db.add(row)

    facts: Json = {
        "transfer": row.id,
        "leg": leg,
        "offset": offset,
        "length": length,
        "running_sha256": running_sha256,
    }
    record(db, actor, Tag.WINDOW_SERVED, now, agreement=row.agreement_id, facts=facts)
    return None


def close(db: Session, actor: Actor, transfer_id: str, leg: int, outcome: str, now: datetime) -> bool:
    """End a leg: settle its bytes and quota, and charge what it took.  False when it was already ended.

    outcome: complete, broken, damaged, orphaned, superseded, or the reason code that stopped it.
    Records: transfer:closed, costing:metered for the first bytes of a use and for whole gigabytes of the agreement, and
    what `charging.charge` records.
    """
    row = queries.held(db, transfer_id)
    if row.state != "open" or row.leg != leg:
        return False

    now = _not_before_the_log(db, now)
    agreement = negotiation.agreement(db, row.agreement_id)
    served = row.leg_served
    uses = row.leg_uses if served or outcome == rules.COMPLETE else 0
    moved = quotas.settle(
        db,
        agreement.id,
        uses=row.leg_uses,
        uses_served=uses,
        volume=row.leg_end - row.leg_start,
        volume_served=served,
    )
    row.state, row.outcome, row.closed_at = "closed", outcome, now
    row.served += served
    row.uses += uses
    db.add(row)

    _record_close(db, actor, agreement, row, now)
    if uses or served:
        _charge(db, actor, agreement, row, uses, now)
    _meter_moved(db, actor, agreement, row, moved, now)
    return True


def sweep(runtime: Runtime) -> int:
    """Close every transfer whose lease has passed, at what its windows logged; returns how many."""
    with runtime.database.reading() as db:
        now = _not_before_the_log(db, runtime.clock.now())
        overdue = queries.overdue(db, now)
    closed = 0
    for transfer_id in overdue:
        try:
            closed += runtime.database.grouped(partial(_close_orphan, transfer_id=transfer_id, now=now))
        except Exception as error:  # noqa: BLE001 - one that cannot be closed must not hold up the others
            get_logger().error("transfer cannot be closed", transfer=transfer_id, error=type(error).__name__)
    return closed


def _close_orphan(db: Session, transfer_id: str, now: datetime) -> bool:
    row = queries.held(db, transfer_id)
    return row.lease_until < now and close(db, SERVICE_ACTOR, transfer_id, row.leg, rules.ORPHANED, now)


def _not_before_the_log(db: Session, now: datetime) -> datetime:
    """The moment of settling: a clock that was set back must neither hold it up nor write an entry into the past."""
    return max(now, usage_queries.latest_entry(db) or now)


def _stop_reason(db: Session, row: Transfer, leg: int, length: int, now: datetime) -> str | None:
    if row.state != "open" or row.leg != leg:
        return rules.SUPERSEDED
    if usage_queries.epoch(db, row.subjects, hold=True) != row.epoch:
        return usage_queries.stop_reason(db, row.subjects)
    if int(now.timestamp()) >= row.stops_at:
        return usage_queries.lapse_reason(db, row.agreement_id, row.stops_at, now)
    if row.leg_start + row.leg_served + length > row.leg_end:
        return usage_rules.QUOTA_EXCEEDED
    return None


def _record_close(db: Session, actor: Actor, agreement: Agreement, row: Transfer, now: datetime) -> None:
    facts: Json = {
        "transfer": row.id,
        "leg": row.leg,
        "outcome": row.outcome,
        "from": row.leg_start,
        "bytes": row.leg_served,
        "sha256": row.running_sha256,
        "bytes_total": row.served,
    }
    record(
        db,
        actor,
        Tag.TRANSFER_CLOSED,
        now,
        asset=agreement.asset_id,
        version=agreement.version_id,
        agreement=agreement.id,
        facts=facts,
    )


def _meter_moved(db: Session, actor: Actor, agreement: Agreement, row: Transfer, moved: int, now: datetime) -> None:
    """Meter the gigabytes that this leg made whole for its agreement: each byte that left cost its provider.

    moved: bytes of the agreement so far, this leg's among them.
    """
    whole = moved // rules.GIGABYTE - max(moved - row.leg_served, 0) // rules.GIGABYTE
    if whole:
        meter(
            db,
            actor,
            "delivery.gigabyte",
            whole,
            now,
            key=f"delivery:{row.id}:{row.leg}",
            asset=agreement.asset_id,
            version=agreement.version_id,
            agreement=agreement.id,
            payer=agreement.provider_id,
        )


def _charge(db: Session, actor: Actor, agreement: Agreement, row: Transfer, uses: int, now: datetime) -> None:
    plan = usage_queries.signed_price_plan(db, agreement)
    rate = rate_of(read_plan(plan))
    studies = studies_served(db, agreement, row) if measures_studies(rate) else frozenset[str]()
    volume = bytes_first_served(db, row) if measures_bytes(rate) else row.leg_served
    used = Used(row.id, row.leg, uses, volume, studies)
    charging.charge(db, actor, agreement, plan, used, now)
