"""One entry per period for everything that was refused before anybody was known: numbers by reason, no callers."""

from __future__ import annotations

from collections import Counter

from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.kernel.clock import timestamp
from marketplace.plumbing.refusals import NOBODY, take_rows
from marketplace.plumbing.runtime import Runtime


def write_counts(runtime: Runtime) -> None:
    """Turn the counts since the last run into one entry; none without counts.  Safe to run twice and at once.

    facts: from, to; counts by slug; limited: refusals by rate limit per participant, which is known there.
    """
    now = runtime.clock.now()
    runtime.refusals.flush(runtime.database, now)
    with runtime.database.transaction() as db:
        rows = take_rows(db)
        if not rows:
            return
        counts: Counter[str] = Counter()
        limited: Counter[str] = Counter()
        for row in rows:
            kind, name = (counts, row.reason) if row.participant == NOBODY else (limited, row.participant)
            kind[name] += row.number
        facts = {"from": timestamp(min(row.since for row in rows)), "to": timestamp(max(row.until for row in rows))}
        sums = {"counts": dict(sorted(counts.items())), "limited": dict(sorted(limited.items()))}
        record(db, SERVICE_ACTOR, Tag.UNAUTHENTICATED_COUNTED, now, facts=facts | sums)
