"""Re-check closed periods against the documents under which they were closed."""

from __future__ import annotations

from collections.abc import Iterator

from sqlmodel import Session

from marketplace.audit import documents
from marketplace.audit.recheck import RowFinding
from marketplace.ledger import balances, queries
from marketplace.ledger.periods import PeriodState, close_document


def recheck(db: Session) -> Iterator[RowFinding]:
    """Closed periods whose books are no longer what the platform operator signed."""
    for one in queries.periods(db):
        if one.state != PeriodState.CLOSED:
            continue
        signed = documents.content(db, one.document)
        rows, counts = balances.trial_balance(db, one.period), queries.counts_in(db, one.period)
        if close_document(one.period, rows, counts, signed["previous"]) != signed:
            detail = "the books of this closed period are not what was signed"
            yield RowFinding("ledger_period", one.period, "edited", detail, one.entry_id)
