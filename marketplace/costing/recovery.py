"""Prices that only recover a cost: how far an asset's sales have brought its cost back, metered and posted alike."""

from __future__ import annotations

from collections import Counter

from sqlmodel import Session

from marketplace.costing import queries, rating
from marketplace.costing.tariffs import TariffBook, tariff_book
from marketplace.ledger import queries as ledger
from marketplace.ledger.accounts import Sheet, chart, posting_rules


def left_to_recover(db: Session, asset_id: str, *, book: TariffBook | None = None) -> int:
    """Fen that an asset has cost and its sales have not brought back after levies; below zero = a margin was made.

    What was metered counts before a worker has posted it.  book: tariffs, None = published.  Raises NoTariff.
    """
    sums = Counter[str]()
    for (account, _), minor in ledger.asset_sums(db, asset_id).items():
        sums[account] += minor
    for event in queries.pending(db, asset_id=asset_id):
        for line in rating.rate(event, posting_rules().rule(event.kind), book or tariff_book()).lines:
            sums[line.account] += line.amount_minor
    feeding: tuple[Sheet, ...] = ("cost", "revenue", "selling_cost")
    return sum(sums[account] for sheet in feeding for account in chart().feeding(sheet))
