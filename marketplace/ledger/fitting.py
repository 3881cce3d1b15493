"""Which transactions plainly fit their log entry, found by comparing bytes: a million postings in seconds.

What does not fit plainly need not be wrong; `recheck` looks at it row by row and names what is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlmodel import Session

from marketplace.audit.columns import moment
from marketplace.audit.entry import Tag
from marketplace.kernel.canonical import canonical_text
from marketplace.kernel.clock import parse_timestamp
from marketplace.ledger.periods import month_of

PAGE = 2_000

# How many postings, then each as the entry tells it; a `!` behind one that is not about what its transaction is, so
# that it fits nothing.
_SQL = """
SELECT t.id, t.event_key, t.kind, t.at, t.posted_at, t.memo, t.stage, t.entry_id, t.posting_entry_id, t.meter_event,
  t.quantity, t.unit_price_minor, t.tariff, t.reverses, t.period, e.body, e.at AS recorded_at,
  t.asset {same} e.asset AND t.version {same} e.version AND t.agreement {same} e.agreement AS same_subject,
  (SELECT count(*) || ' ' || {join}({format}('{{"account":"%s","amount_minor":"%s","currency":"%s","owner":"%s"}}%s',
      p.account, p.amount_minor, p.currency, p.owner,
      CASE WHEN p.period = t.period AND p.asset {same} t.asset AND p.version {same} t.version AND p.stage {same} t.stage
        AND p.agreement {same} t.agreement THEN '' ELSE '!' END), ','{order})
    FROM posting p WHERE p.transaction_id = t.id) AS lines
FROM ledger_transaction t JOIN entry e ON e.id = t.posting_entry_id AND e.tag = '{tag}'
WHERE t.id > :after ORDER BY t.id LIMIT :page
"""
_QUOTES = 16
"""Quotation marks in what the entry tells of one posting."""
# A scan of the table in its own order is twice as fast as one in the order of an index.
_UNBALANCED = (
    "SELECT DISTINCT transaction_id FROM (SELECT transaction_id FROM posting {scan} "
    "GROUP BY transaction_id, owner, currency HAVING sum(amount_minor) <> 0) AS wrong"
)
_SAYING: dict[str, dict[str, str]] = {
    "sqlite": {"same": "IS", "join": "group_concat", "format": "printf", "order": "", "scan": "NOT INDEXED"},
    "postgresql": {
        "same": "IS NOT DISTINCT FROM",
        "join": "string_agg",
        "format": "format",
        "order": " ORDER BY p.id",
        "scan": "",
    },
}


class _Row(NamedTuple):
    """A transaction with its entry.  lines: number of postings, blank, their words; None: no postings."""

    id: str
    event_key: str
    kind: str
    at: Any
    posted_at: Any
    memo: str
    stage: str | None
    entry_id: str
    posting_entry_id: str
    meter_event: str | None
    quantity: int
    unit_price_minor: int | None
    tariff: str | None
    reverses: str | None
    period: str
    body: bytes
    recorded_at: Any
    same_subject: bool
    lines: str | None


@dataclass
class Fitting:
    """What plainly fits.  transactions: entry id -> transaction id; postings: how many belong to these."""

    transactions: dict[str, str] = field(default_factory=dict)
    postings: int = 0


def fitting(db: Session) -> Fitting:
    """Where entry, transaction and postings say the same, and the postings sum to zero."""
    found = Fitting()
    saying = _SAYING[db.get_bind().dialect.name]
    unbalanced = set(db.connection().execute(text(_UNBALANCED.format(**saying))).scalars())
    for row in _rows(db, saying):
        count, _, lines = (row.lines or "0").partition(" ")
        if row.id not in unbalanced and _fits(row, int(count), lines):
            found.transactions[row.posting_entry_id] = row.id
            found.postings += int(count)
    return found


def _rows(db: Session, saying: dict[str, str]) -> Iterator[_Row]:
    statement = text(_SQL.format(**saying, tag=Tag.LEDGER_POSTED.value))
    after = ""
    while page := db.connection().execute(statement, {"after": after, "page": PAGE}).all():
        yield from map(_Row._make, page)
        after = page[-1][0]


def _fits(row: _Row, count: int, lines: str) -> bool:
    """Whether the facts in the entry's canonical bytes are those of the row (sound as in `audit.columns`)."""
    if lines.count('"') != _QUOTES * count or "\\" in lines:
        return False  # a quotation mark in a column could make one posting look like two
    # The order of RFC 8785; what `service._told` tells.  Older entries tell no period: it is the month of the event.
    told = f'"period":{_often(row.period)},' if b'"period":' in row.body else ""
    if not told and row.period != month_of(parse_timestamp(moment(row.at))):
        return False
    facts = (
        f'"facts":{{"at":{_json(moment(row.at))},"cause":{_json(row.entry_id)},"key":{_json(row.event_key)},'
        f'"kind":{_often(row.kind)},"memo":{_json(row.memo)},"meter_event":{_json(row.meter_event)},{told}'
        f'"postings":[{lines}],"quantity":{row.quantity},"reverses":{_json(row.reverses)},'
        f'"stage":{_often(row.stage)},"tariff":{_often(row.tariff)},"transaction":{_json(row.id)},'
        f'"unit_price_minor":{"null" if row.unit_price_minor is None else row.unit_price_minor}}},"id":'
    )
    return bool(row.same_subject) and row.posted_at == row.recorded_at and facts.encode() in row.body


def _json(value: str | None) -> str:
    return canonical_text(value)


_often = lru_cache(maxsize=256)(_json)
