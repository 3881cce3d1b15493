"""Re-check the books against the log: every transaction and posting is told by one `ledger:posted` entry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from sqlmodel import Session, col, func, select

from marketplace.audit.entry import Tag
from marketplace.audit.models import Entry
from marketplace.audit.recheck import RowFinding, Told, told
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp
from marketplace.ledger import balances
from marketplace.ledger.fitting import fitting
from marketplace.ledger.models import LedgerTransaction, Posting
from marketplace.ledger.periods import month_of
from marketplace.ledger.queries import counts
from marketplace.ledger.rules import Line, imbalances

PAGE = 500
_REPEATED = ("period", "asset", "version", "stage", "agreement")


def recheck(db: Session) -> Iterator[RowFinding]:
    """Transactions, postings and balances that differ from what tells them, are missing, or that nothing tells of."""
    yield from balances.recheck(db)
    plain = fitting(db)
    posted = select(Entry.id).where(Entry.tag == Tag.LEDGER_POSTED.value)
    entries = db.exec(select(func.count()).select_from(posted.subquery())).one()
    if entries == len(plain.transactions) and counts(db) == (entries, plain.postings):
        return
    seen = set(plain.transactions.values())
    in_order = db.exec(posted.order_by(col(Entry.leaf_index), col(Entry.id)))
    unsettled = [one for one in in_order if one not in plain.transactions]
    for start in range(0, len(unsettled), PAGE):
        page = list(told(db, Tag.LEDGER_POSTED, only=unsettled[start : start + PAGE]))
        yield from _page(db, page, seen)
    inserted = [one for one in db.exec(select(LedgerTransaction.id)) if one not in seen]
    for name in inserted:
        yield RowFinding("ledger_transaction", name, "inserted", "no entry of the log posted this")
    for posting in _postings_of_nothing(db, inserted, seen):
        yield RowFinding("posting", posting, "inserted", "no entry of the log posted this")


def _postings_of_nothing(db: Session, inserted: Sequence[str], seen: Collection[str]) -> Iterator[str]:
    """Postings of transactions that no entry tells of, and of such as are not in the books at all."""
    for start in range(0, len(inserted), PAGE):
        names = inserted[start : start + PAGE]
        yield from db.exec(select(Posting.id).where(col(Posting.transaction_id).in_(names)))
    known = select(LedgerTransaction.id)
    orphans = select(Posting.id, Posting.transaction_id).where(col(Posting.transaction_id).not_in(known))
    yield from (posting for posting, transaction in db.exec(orphans) if transaction not in seen)


def _page(db: Session, page: Sequence[tuple[Told, Json]], seen: set[str]) -> Iterator[RowFinding]:
    ids = [str(facts.get("transaction")) for _, facts in page]
    rows = {one.id: one for one in db.exec(select(LedgerTransaction).where(col(LedgerTransaction.id).in_(ids)))}
    postings: dict[str, list[Posting]] = defaultdict(list)
    for one in db.exec(select(Posting).where(col(Posting.transaction_id).in_(ids))):
        postings[one.transaction_id].append(one)
    for entry, facts in page:
        name = str(facts.get("transaction"))
        if name in seen:
            yield RowFinding("entry", entry.id, "inserted", f"transaction {name} was posted by another entry", entry.id)
            continue
        seen.add(name)
        row = rows.get(name)
        if row is None:
            yield RowFinding("ledger_transaction", name, "deleted", "a posted transaction is missing", entry.id)
        else:
            yield from _transaction(entry, facts, row)
            yield from _postings(entry, facts, row, postings[name])
    db.expunge_all()


def _transaction(entry: Told, facts: Json, row: LedgerTransaction) -> Iterator[RowFinding]:
    expected = {
        "event_key": facts.get("key"),
        "kind": facts.get("kind"),
        "entry_id": facts.get("cause"),
        "quantity": facts.get("quantity"),
        "unit_price_minor": facts.get("unit_price_minor"),
        "tariff": facts.get("tariff"),
        "reverses": facts.get("reverses"),
        "posting_entry_id": entry.id,
        "asset": entry.asset,
        "version": entry.version,
        "agreement": entry.agreement,
    }
    # Older entries do not tell these.
    expected |= {name: facts[name] for name in ("memo", "stage", "meter_event") if name in facts}
    held = {name: getattr(row, name) for name in expected}
    if "at" in facts:
        expected |= {"at": facts["at"], "posted_at": entry.at}
        held |= {"at": timestamp(row.at), "posted_at": timestamp(row.posted_at)}
    # No period was closed before entries told it.
    expected |= {"period": facts.get("period") or month_of(row.at)}
    held |= {"period": row.period}
    for name, value in expected.items():
        if held[name] != value:
            yield RowFinding("ledger_transaction", row.id, "edited", f"column `{name}` differs", entry.id)


def _postings(entry: Told, facts: Json, row: LedgerTransaction, lines: Sequence[Posting]) -> Iterator[RowFinding]:
    expected = [
        (one["account"], one["owner"], int(one["amount_minor"]), one["currency"]) for one in facts.get("postings", ())
    ]
    for one in lines:
        line = (one.account, one.owner, one.amount_minor, one.currency)
        same = all(getattr(one, name) == getattr(row, name) for name in _REPEATED)
        if line in expected:
            expected.remove(line)
            if not same:
                yield RowFinding("posting", one.id, "edited", "it is not about what its transaction is", entry.id)
        else:
            yield RowFinding("posting", one.id, "edited", "the entry tells of no such posting", entry.id)
    for account, owner, amount, _ in expected:
        detail = f"the posting of {amount} on {account} of {owner} is missing"
        yield RowFinding("ledger_transaction", row.id, "posting_missing", detail, entry.id)
    if imbalances([Line(one.account, one.owner, one.amount_minor, one.currency) for one in lines]):
        yield RowFinding("ledger_transaction", row.id, "unbalanced", "its postings do not sum to zero", entry.id)
