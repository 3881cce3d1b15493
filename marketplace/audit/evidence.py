"""The guard of the log: a transaction that changes a domain table without an entry does not commit.

It finds a verb that forgets its entry, whoever wrote it.  It sees what goes through a session, flushed rows and
statements; rows written past the session are the log's own.
"""

from __future__ import annotations

from sqlalchemy import CursorResult, event
from sqlalchemy.orm import ORMExecuteState, UOWTransaction
from sqlmodel import Session

from marketplace.audit.entry import since_begin
from marketplace.plumbing.keeping import KeepingSession
from marketplace.plumbing.prompt import PromptSession

WITHOUT_ENTRY: dict[str, str] = {
    "entry": "an entry is the evidence itself",
    "log_tile": "the tree is built from entries",
    "log_checkpoint": "signed heads are checked against the tree",
    "log_statement": "signed statements about the log itself carry their own signatures",
    "idempotency": "a kept answer repeats what a recorded verb said",
    "seen_token": "a one-time id belongs to proving who calls; the verb that follows is recorded",
    "outbox": "it asks for work; what the work changes is recorded then",
    "refusal_count": "refusals of unknown callers are counted, not recorded one by one",
    "meter_waiting": "it repeats which metered events have no posting yet; metering and posting are recorded",
    "market_reference": "products that public sources report from elsewhere; nothing of this exchange rests on them",
    "governed_file": "results of a job that still runs; `governance:finished` tells the version made of them",
    "catalogue_line": "the search index repeats published listings and can be built again",
    "dataspace_push": "how far a push has come; its uses, windows and end are recorded",
    "dataspace_message": "what is on its way to another connector; what was taken or given up is recorded",
    "catalogue_term": "the search index repeats published listings and can be built again",
}
"""Tables that may change without an entry, and why."""


class NoEntry(RuntimeError):
    """A transaction would have changed the domain without leaving evidence: a fault of ours, never of the caller."""


class EvidencedSession(PromptSession, KeepingSession):
    """A session that refuses to commit changes of domain tables without an entry."""


def _note_rows(db: EvidencedSession, _flush: UOWTransaction) -> None:
    rows = [*db.new, *db.deleted, *(row for row in db.dirty if db.is_modified(row))]
    for table in {row.__tablename__ for row in rows} - WITHOUT_ENTRY.keys():
        db.info.setdefault("changed_tables", []).append(table)


def _note_statement(state: ORMExecuteState) -> object:
    if not (state.is_insert or state.is_update or state.is_delete):
        return None
    result, touched = _counted(state)
    table = state.statement.table.name  # type: ignore[attr-defined]
    if touched and table not in WITHOUT_ENTRY:
        state.session.info.setdefault("changed_tables", []).append(table)
    return result


def _counted(state: ORMExecuteState) -> tuple[object, bool]:
    """The answer of a statement, to be read as if it were new, and whether it changed a row."""
    result = state.invoke_statement()
    if state.is_executemany:
        return result, True
    if isinstance(result, CursorResult) and not result.returns_rows:
        return result, result.rowcount != 0
    kept = result.freeze()  # the rows tell: PostgreSQL's driver counts no insert
    return kept(), kept().first() is not None


def require_entry(db: Session) -> None:
    """Refuse a transaction that has changed domain tables and recorded nothing; asked again before every commit.

    Raises NoEntry.
    """
    if db.in_nested_transaction():
        return
    db.flush()
    changed = since_begin(db, "changed_tables")
    if changed and not since_begin(db, "entries"):
        raise NoEntry(f"a transaction changed {', '.join(sorted(set(changed)))} and recorded no entry")


event.listen(EvidencedSession, "after_flush", _note_rows)
event.listen(EvidencedSession, "do_orm_execute", _note_statement)
# First of all that listen: a seal, which is written at the commit too, covers nothing.
event.listen(EvidencedSession, "before_commit", require_entry, insert=True)
