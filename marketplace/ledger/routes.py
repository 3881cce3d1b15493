"""The books over HTTP: reading only; events are posted by workers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import Query

from marketplace.ledger import queries
from marketplace.ledger.accounts import chart
from marketplace.ledger.models import LedgerTransaction, Posting
from marketplace.ledger.schemas import BalanceOut, PostingOut, TransactionOut, TransactionPage
from marketplace.plumbing.web import View, router

routes = router("ledger")


@routes.get("/ledger/accounts", operation_id="list_accounts")
def list_accounts(view: View) -> list[BalanceOut]:
    """Balances of the caller's own sub-ledger by account; an auditor sees everybody's."""
    found = []
    for one in queries.visible_balances(view.db, view.actor):
        account = chart().account(one.account)
        found.append(BalanceOut(**asdict(one), name=account.name, name_zh=account.name_zh))
    return found


@routes.get("/ledger/transactions", operation_id="list_transactions")
def list_transactions(
    view: View,
    after: Annotated[str, Query(max_length=64, description="Cursor: `next` of the page before.")] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> TransactionPage:
    """Transactions that touch the caller's sub-ledger, oldest first, with its own postings; an auditor sees all."""
    found = queries.visible_transactions(view.db, view.actor, after=after, limit=limit)
    items = [_transaction_out(one, lines) for one, lines in found]
    return TransactionPage(items=items, next=items[-1].id if len(items) == limit else None)


def _transaction_out(one: LedgerTransaction, lines: list[Posting]) -> TransactionOut:
    return TransactionOut.model_validate(
        one.model_dump() | {"postings": [PostingOut.model_validate(line) for line in lines]}
    )
