"""One entry per period for what was refused without an entry of its own: numbers by reason, for unknown callers
without any sign of who they were."""

from __future__ import annotations

from collections import Counter, defaultdict

from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.kernel.clock import timestamp
from marketplace.plumbing.refusals import NOBODY, take_rows
from marketplace.plumbing.runtime import Runtime


def write_counts(runtime: Runtime) -> None:
    """Turn the counts since the last run into one entry; none without counts.  Safe to run twice and at once.

    facts: from, to; counts: of unknown callers by slug; participants: of known ones, who went beyond their rate or
    asked for what they cannot see, by participant and slug.
    """
    now = runtime.clock.now()
    runtime.refusals.flush(runtime.database, now)
    with runtime.database.transaction() as db:
        rows = take_rows(db)
        if not rows:
            return
        counts: Counter[str] = Counter()
        known: dict[str, Counter[str]] = defaultdict(Counter)
        for row in rows:
            (counts if row.participant == NOBODY else known[row.participant])[row.reason] += row.number
        facts = {"from": timestamp(min(row.since for row in rows)), "to": timestamp(max(row.until for row in rows))}
        sums = {"counts": counts, "participants": known}
        record(db, SERVICE_ACTOR, Tag.REFUSALS_COUNTED, now, facts=facts | sums)
