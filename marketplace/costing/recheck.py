"""Re-check metered events against the log: each is told by one `costing:metered` entry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from sqlalchemy import text
from sqlmodel import Session, col, select

from marketplace.audit.entry import Tag
from marketplace.audit.recheck import RowFinding, Told, told
from marketplace.costing.models import MeterEvent
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp

PAGE = 500

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
    seen, entries = set[str](), told(db, Tag.COST_METERED)
    while page := list(islice(entries, PAGE)):
        yield from _page(db, page, seen)
    for name, key in db.exec(select(MeterEvent.id, MeterEvent.event_key).execution_options(yield_per=PAGE)):
        if key not in seen:
            yield RowFinding("meter_event", name, "inserted", "no entry of the log metered this")


def _page(db: Session, page: Sequence[tuple[Told, Json]], seen: set[str]) -> Iterator[RowFinding]:
    keys = [str(facts.get("key")) for _, facts in page]
    rows = {one.event_key: one for one in db.exec(select(MeterEvent).where(col(MeterEvent.event_key).in_(keys)))}
    for (entry, facts), key in zip(page, keys, strict=True):
        row = rows.get(key)
        if key in seen:
            yield RowFinding("entry", entry.id, "inserted", f"{key} was metered by another entry", entry.id)
        elif row is None:
            name = str(facts.get("event", key))
            yield RowFinding("meter_event", name, "deleted", "a metered event is missing", entry.id)
        else:
            yield from _differing(row, entry, facts)
        seen.add(key)


def _differing(row: MeterEvent, entry: Told, facts: Json) -> Iterator[RowFinding]:
    for name, value in _expected(entry, facts).items():
        held = timestamp(row.at) if name == "at" else getattr(row, name)
        if held != value:
            yield RowFinding("meter_event", row.id, "edited", f"column `{name}` differs", entry.id)


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
