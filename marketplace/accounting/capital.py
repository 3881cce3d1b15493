"""The cost of an asset in the balance sheet: capitalised by its provider, written off by schedule and at delisting."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlmodel import Session

from marketplace.accounting import queries, rules
from marketplace.accounting.models import Capitalisation
from marketplace.accounting.rules import ACCOUNT, IMPAIRMENT, SPREAD, WRITTEN_DOWN, Treatment
from marketplace.accounting.schemas import CapitalisationIn
from marketplace.assets import queries as assets
from marketplace.assets.models import Asset
from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import SERVICE_ACTOR, Actor
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import CHINA
from marketplace.ledger import queries as ledger_queries
from marketplace.ledger import service as ledger
from marketplace.ledger.periods import end_of, month_after, month_of
from marketplace.ledger.rules import Dimensions, Draft, Line, merged
from marketplace.plumbing import outbox
from marketplace.plumbing.runtime import Runtime

WRITE_OFF_TASK, IMPAIR_TASK = "accounting.write_off", "accounting.impair"
SALE = "sale.access"
CURRENCY = "CNY"


def capitalise(db: Session, actor: Actor, asset: Asset, asked: CapitalisationIn, now: datetime) -> Capitalisation:
    """Move the stage costs of a certified asset of the caller into its balance sheet, once and for good.

    Costs that come later stay expenses.  An intangible asset is spread over the shorter of useful life and
    certificate.  Raises NotCertified, NothingToCapitalise, AlreadyCapitalised.
    Records: accounting:capitalised, ledger:posted for each stage.
    """
    assets.lock_asset(db, asset.id)
    known = queries.capitalisation(db, asset.id)
    certificate = queries.certificate_of(db, asset.id, now)
    costs = queries.stage_costs(db, asset)
    treatment = rules.TREATMENT[asked.held_for]

    if known is not None:
        raise rules.AlreadyCapitalised("an asset is capitalised once", got=known.treatment)
    if certificate is None:
        raise rules.NotCertified(
            "what nobody is certified to hold stays an expense", action="have the asset's rights certified first"
        )
    cost = sum(minor for *_, minor in costs)
    if cost <= 0:
        raise rules.NothingToCapitalise("there is no cost in the books to capitalise", got=asset.id)

    parts = _parts(asked, treatment, certificate.valid_until, now)
    facts: Json = {"treatment": treatment, "held_for": asked.held_for, "parts": parts, "cost_minor": str(cost)}
    entry = record(db, actor, Tag.ASSET_CAPITALISED, now, asset=asset.id, facts=facts)
    row = Capitalisation(
        asset_id=asset.id,
        provider_id=asset.provider_id,
        treatment=treatment,
        parts=parts,
        cost_minor=cost,
        currency=CURRENCY,
        began_at=now,
        entry_id=entry,
    )
    db.add(row)
    db.flush()

    ledger.post_all(db, SERVICE_ACTOR, _recognised(row, costs, now), now)
    return row


def write_off(db: Session, asset_id: str, now: datetime) -> list[str]:
    """Write off what is due of an asset by now: a month each, or the sales so far; again changes nothing.

    Returns the transactions.  Records: ledger:posted for each.
    """
    row = queries.held_capitalisation(db, asset_id)
    if row is None or row.ended_at is not None:
        return []

    if row.treatment == Treatment.INTANGIBLE:
        drafts = _months(row, now)
    else:
        sold = ledger_queries.asset_quantities(db, asset_id).get(SALE, 0)
        drafts = _sales(row, sold, *queries.written_off(db, row), now)

    return ledger.post_all(db, SERVICE_ACTOR, drafts, now)


def impair(db: Session, asset_id: str, now: datetime) -> Capitalisation | None:
    """Write off the whole of what an asset has not recovered, because it was delisted; for good, and only once.

    Returns None for an asset that is not capitalised.  Records: accounting:impaired, ledger:posted.
    """
    write_off(db, asset_id, now)
    row = queries.held_capitalisation(db, asset_id)
    if row is None or row.ended_at is not None:
        return row
    left = row.cost_minor - queries.written_off(db, row)[0]

    row.ended_at = now
    db.add(row)
    db.flush()

    facts: Json = {"left_minor": str(left)}
    entry = record(db, SERVICE_ACTOR, Tag.ASSET_IMPAIRED, now, asset=asset_id, facts=facts)
    if left > 0:
        ledger.post(db, SERVICE_ACTOR, _down(row, "capital.impaired", "delisted", IMPAIRMENT, left, entry, now), now)
    return row


def ask_for_impairment(db: Session, asset_id: str, entry: str, now: datetime) -> None:
    """Ask for the impairment of a delisted asset in the present transaction.  entry: that delisted it."""
    if queries.capitalisation(db, asset_id) is not None:
        outbox.enqueue(db, IMPAIR_TASK, {"asset": asset_id}, key=entry, now=now)


def ask_for_write_offs(runtime: Runtime) -> None:
    """Ask once a day, for each asset that is carried, for what is due by then; for the schedule.

    An asset whose provider retired it is impaired, also while its listing stands.
    """
    now = runtime.clock.now()
    today = now.astimezone(CHINA)  # whose months are over eight hours before those of UTC
    with runtime.database.transaction() as db:
        gone = queries.retired(db)
        for asset_id in queries.carried(db):
            args, key = {"asset": asset_id}, f"{asset_id}:{today:%Y-%m-%d}"
            if asset_id in gone:
                outbox.enqueue(db, IMPAIR_TASK, args, key=key, now=now)
            else:
                outbox.enqueue(db, WRITE_OFF_TASK, args, key=key, now=now)


def _parts(asked: CapitalisationIn, treatment: Treatment, certified_until: datetime, now: datetime) -> int:
    if treatment == Treatment.INVENTORY:
        return asked.expected_sales
    return rules.useful_months(asked.useful_life_months, certified_until, now)


def _recognised(row: Capitalisation, costs: Iterable[queries.StageCost], now: datetime) -> list[Draft]:
    """One transaction per version and stage, so that the cost sheet stays what it was."""
    lines = defaultdict[tuple[str, str], list[Line]](list)
    for version, stage, account, minor in costs:
        here = Line(ACCOUNT[Treatment(row.treatment)], row.provider_id, minor, row.currency)
        lines[version, stage] += [here, Line(account, row.provider_id, -minor, row.currency)]
    return [
        Draft(
            event_key=f"capitalised:{row.asset_id}:{version}:{stage}",
            kind="capital.recognised",
            at=now,
            memo=f"{row.treatment}: {stage or 'other'}",
            entry_id=row.entry_id,
            lines=merged(of),
            dims=Dimensions(row.asset_id, version or None, stage or None),
        )
        for (version, stage), of in lines.items()
    ]


def _months(row: Capitalisation, now: datetime) -> list[Draft]:
    """The months that are over, each on its last moment."""
    first, over = month_of(row.began_at), min(rules.months_done(row.began_at, now), row.parts)
    drafts = []
    for number in range(over):
        amount = rules.written_off(row.cost_minor, row.parts, number + 1)
        amount -= rules.written_off(row.cost_minor, row.parts, number)
        month = month_after(first, number)
        at = end_of(month) - timedelta(microseconds=1)
        if amount:
            drafts.append(
                _down(row, "capital.amortised", month, SPREAD[Treatment.INTANGIBLE], amount, row.entry_id, at)
            )
    return drafts


def _sales(row: Capitalisation, sold: int, done: int, times: int, now: datetime) -> list[Draft]:
    """What the sales so far have cost, less what was written off; a sale taken back gives its part back."""
    amount = rules.written_off(row.cost_minor, row.parts, sold) - done
    if not amount:
        return []
    name = f"{sold} sold, {times + 1}"
    return [_down(row, "capital.sold", name, SPREAD[Treatment.INVENTORY], amount, row.entry_id, now)]


def _down(row: Capitalisation, kind: str, name: str, expense: str, amount: int, entry: str, at: datetime) -> Draft:
    return Draft(
        event_key=f"{kind}:{row.asset_id}:{name}",
        kind=kind,
        at=at,
        memo=name,
        entry_id=entry,
        lines=(
            Line(expense, row.provider_id, amount, row.currency),
            Line(WRITTEN_DOWN, row.provider_id, -amount, row.currency),
        ),
        dims=Dimensions(row.asset_id),
    )
