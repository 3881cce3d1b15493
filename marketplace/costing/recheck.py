"""Re-check metered events against the log: each is told by one `costing:metered` entry."""

from __future__ import annotations

from collections.abc import Iterator

from sqlmodel import Session, select

from marketplace.audit.entry import Tag
from marketplace.audit.recheck import RowFinding, Told, told
from marketplace.costing.models import MeterEvent
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp


def recheck(db: Session) -> Iterator[RowFinding]:
    """Metered events that differ from their entry, are missing, or that no entry tells of."""
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


def _expected(entry: Told, facts: Json) -> Json:
    names = {"kind": "kind", "quantity": "quantity", "unit_price_fen": "unit_price_fen"}
    names |= {"payer_id": "payer", "payee_id": "payee", "venue_id": "venue", "stage": "stage", "id": "event"}
    expected = {column: facts[name] for column, name in names.items() if name in facts}
    return expected | {
        "asset_id": entry.asset,
        "version_id": entry.version,
        "agreement_id": entry.agreement,
        "at": entry.at,
        "entry_id": entry.id,
    }
