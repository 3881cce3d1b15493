"""Re-check metered events against the log: each is told by one `costing:metered` entry."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import text
from sqlmodel import Session, select

from marketplace.audit.entry import Tag
from marketplace.audit.recheck import RowFinding, Told, told
from marketplace.costing.models import MeterEvent
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp

# length() keeps SQLite from the index of `reverses`, in which nearly every row has the same key, none: it takes it for
# the best because it is unique, and reads all transactions once for each event.
_STANDING = text("""
SELECT m.id, count(t.id) AS standing, w.event_id IS NOT NULL AS waiting FROM meter_event m
  LEFT JOIN meter_waiting w ON w.event_id = m.id
  LEFT JOIN ledger_transaction t ON t.meter_event = m.id AND length(t.reverses) IS NULL
    AND NOT EXISTS (SELECT 1 FROM ledger_transaction back WHERE back.reverses = t.id AND back.id <> t.id
      AND EXISTS (SELECT 1 FROM ledger_transaction again
        WHERE again.meter_event = m.id AND length(again.reverses) IS NULL AND again.id > t.id))
GROUP BY m.id, w.event_id HAVING (count(t.id) = 1) = (w.event_id IS NOT NULL)
""")


def recheck(db: Session) -> Iterator[RowFinding]:
    """Metered events that differ from their entry, are missing, that no entry tells of, or that nobody will post."""
    yield from _in_the_books_once(db)
    entries = {str(facts.get("key")): (entry, facts) for entry, facts in told(db, Tag.COST_METERED)}
    for row in db.exec(select(MeterEvent).execution_options(yield_per=500)):
        entry, facts = entries.pop(row.event_key, (None, {}))
        if entry is None:
            yield RowFinding("meter_event", row.id, "inserted", "no entry of the log metered this")
            continue
        for name, value in _expected(entry, facts).items():
            held = timestamp(row.at) if name == "at" else getattr(row, name)
            if held != value:
                yield RowFinding("meter_event", row.id, "edited", f"column `{name}` differs", entry.id)
    for key, (entry, facts) in entries.items():
        yield RowFinding("meter_event", str(facts.get("event", key)), "deleted", "a metered event is missing", entry.id)


def _in_the_books_once(db: Session) -> Iterator[RowFinding]:
    """Each event waits for its posting or has exactly one that stands, reversals and what they take back aside."""
    for event, standing, waiting in db.connection().execute(_STANDING).all():
        if waiting:
            yield RowFinding("meter_waiting", event, "inserted", "the event is in the books and waits to be posted")
        elif not standing:
            yield RowFinding("meter_waiting", event, "deleted", "the event neither is in the books nor waits to be")
        else:
            yield RowFinding("meter_event", event, "edited", f"{standing} postings of the event stand at once")


def _expected(entry: Told, facts: Json) -> Json:
    names = {"kind": "kind", "quantity": "quantity", "unit_price_fen": "unit_price_fen"}
    names |= {"payer_id": "payer", "payee_id": "payee", "venue_id": "venue", "stage": "stage", "id": "event"}
    names |= {"attributes": "attributes"}
    expected = {column: facts[name] for column, name in names.items() if name in facts}
    return expected | {
        "asset_id": entry.asset,
        "version_id": entry.version,
        "agreement_id": entry.agreement,
        "at": entry.at,
        "entry_id": entry.id,
    }
