"""Products that public sources report from elsewhere: references without a price, never listings of this exchange."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from marketplace.exchange.models import MarketReference
from marketplace.plumbing.runtime import Runtime

FILE = Path(__file__).resolve().parent.parent / "contracts" / "market-references.json"


def load(runtime: Runtime) -> int:
    """Load the references; loading twice changes nothing.  Returns how many there are."""
    rows = [_reference(row) for row in json.loads(FILE.read_text())["references"]]
    with runtime.database.transaction() as db:
        for row in rows:
            if db.get(MarketReference, row.id) is None:
                db.add(row)
    return len(rows)


def _reference(row: dict[str, Any]) -> MarketReference:
    notes = [row["note"], f"Buyer: {row['buyer']}." if row["buyer"] else ""]
    return MarketReference(
        id=row["id"],
        date=row["date"] + (" (year inferred)" if row["year_inferred"] else ""),
        product="; ".join(_product(one) for one in row["products"]),
        kind=", ".join(sorted({one["kind"] for one in row["products"]})),
        provider=row["provider"] or "",
        venue=row["venue"] or "",
        note=" ".join(note for note in notes if note),
        grade=row["grade"],
        source="; ".join(one["text"] for one in row["sources"]),
        price_fen=row["price"],
        is_example=row["is_example"],
    )


def _product(one: dict[str, Any]) -> str:
    counted = f"{one['count']} x " if (one["count"] or 1) > 1 else ""
    records = f" ({one['records']})" if one["records"] else ""
    return f"{counted}{one['name']}{records}"
