"""What stands behind a cost sheet: the transactions of the books that its figures are the sums of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session

from marketplace.ledger import queries as ledger
from marketplace.ledger.accounts import Sheet, chart
from marketplace.ledger.models import LedgerTransaction, Posting
from marketplace.plumbing.paging import Paged

FIGURES: tuple[Sheet, ...] = ("cost", "revenue", "output_tax", "selling_cost")


@dataclass(frozen=True)
class Source:
    """A transaction and what it adds, fen, to its asset's cost sheet: to its cost, its revenue, and what is kept."""

    transaction: LedgerTransaction
    cost_fen: int
    revenue_fen: int
    kept_fen: int


def sources(db: Session, asset_id: str, *, cursor: str | None = None, limit: int) -> Paged[Source]:
    """A page of what an asset's cost sheet is made of, the latest first; over all pages each figure is its sum.

    For upper rooms, which have judged who may see it.  Raises NotOnThisList.
    """
    accounts = frozenset().union(*(chart().feeding(sheet) for sheet in FIGURES))
    found = ledger.transactions_of_asset(db, asset_id, accounts, cursor=cursor, limit=limit)
    lines = ledger.postings_of(db, [one.id for one in found.rows])
    return Paged([_source(one, lines[one.id]) for one in found.rows], found.next)


def _source(transaction: LedgerTransaction, lines: Sequence[Posting]) -> Source:
    cost, revenue, tax, selling = (
        sum(one.amount_minor for one in lines if one.account in chart().feeding(sheet)) for sheet in FIGURES
    )
    return Source(transaction, cost_fen=cost, revenue_fen=-revenue - tax, kept_fen=-revenue - selling)
