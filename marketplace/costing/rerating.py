"""Rating events again when a tariff was published for days that are over: reversal and new posting, nothing edited."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlmodel import Session

from marketplace.costing import queries, rating
from marketplace.costing.models import MeterEvent
from marketplace.costing.service import PAGE
from marketplace.costing.tariffs import TariffBook, tariff_book
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.ledger import queries as ledger_queries
from marketplace.ledger import service as ledger
from marketplace.ledger.accounts import posting_rules
from marketplace.ledger.models import LedgerTransaction
from marketplace.ledger.rules import Draft, ReversalReason, merged, reversal
from marketplace.plumbing import outbox
from marketplace.plumbing.runtime import Runtime

RERATE_TASK = "ledger.rerate"


def rerate(
    db: Session, events: Sequence[MeterEvent], now: datetime, *, book: TariffBook | None = None
) -> list[LedgerTransaction]:
    """Correct the postings of events whose rate is another one now; returns the postings that took their place.

    The new posting keeps the true date of its event and counts in its month, or in the open one when that is closed.
    What is right stays untouched, so again changes nothing; the rates of before bring the balances of before back.
    Events that wait, and postings that were cancelled, are left alone.  book: tariffs, None = published.
    Raises NoTariff.  Records: ledger:posted for each reversal and new posting.
    """
    book = book or tariff_book()
    queries.hold(db, [event.id for event in events])
    standing = ledger_queries.standing(db, [event.id for event in events])
    lines = ledger_queries.postings_of(db, [one.id for one, _ in standing.values()])

    drafts = list[Draft]()
    for event in events:
        if event.id in standing:
            held, number = standing[event.id]
            now_rated = rating.rate(event, posting_rules().rule(event.kind), book)
            as_held = ledger.draft_of(held, lines.get(held.id, ()))
            drafts += _correction(held, as_held, replace(now_rated, event_key=f"{now_rated.event_key}:{number}"))

    posted = ledger.post_all(db, SERVICE_ACTOR, drafts, now)
    return [ledger_queries.transaction(db, name) for name in posted[1::2]]


def _correction(held: LedgerTransaction, as_held: Draft, now_rated: Draft) -> Iterator[Draft]:
    """Reversal and new posting, or nothing where rate and amounts are the same."""
    if _amounts(as_held) != _amounts(now_rated):
        yield reversal(as_held, held.id, ReversalReason.TARIFF_CHANGED)
        yield now_rated


def _amounts(draft: Draft) -> tuple[int, int | None, frozenset[Any]]:
    return draft.quantity, draft.unit_price_minor, frozenset(merged(draft.lines))


def rerate_page(db: Session, now: datetime, *, after: str) -> str | None:
    """Correct one page of events in order of their ids; returns the id to go on after, None at the end."""
    events = queries.events_after(db, after, PAGE)
    rerate(db, events, now)
    return events[-1].id if len(events) == PAGE else None


def ask_for_rerating(runtime: Runtime) -> None:
    """Ask once for the work that a published back-dated tariff makes; for the schedule."""
    revision = tariff_book().revision
    if revision is None:
        return
    with runtime.database.transaction() as db:
        if outbox.asked(db, RERATE_TASK, revision) is None:
            outbox.enqueue(db, RERATE_TASK, {"revision": revision}, key=revision, now=runtime.clock.now())


def run(runtime: Runtime, revision: str) -> None:
    """Correct every event, page by page, each page its own transaction; safe to run twice, and beside posting.

    revision: of the tariffs that it was asked for; other ones have their own piece of work.
    """
    after: str | None = "" if revision == tariff_book().revision else None
    while after is not None:
        with runtime.database.transaction() as db:
            after = rerate_page(db, runtime.clock.now(), after=after)
