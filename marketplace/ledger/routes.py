"""The books over HTTP: reading only; events are posted by workers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import Query, Response

from marketplace.ledger import queries
from marketplace.ledger.accounts import chart
from marketplace.ledger.exports import FORMATS, MEDIA_TYPES, Format
from marketplace.ledger.models import LedgerTransaction, Posting
from marketplace.ledger.periods import FIRST_MONTH, LAST_MONTH, read_months
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
    first: Annotated[str | None, Query(alias="from", description="First month that counts.")] = None,
    last: Annotated[str | None, Query(alias="to", description="Last month that counts.")] = None,
) -> TransactionPage:
    """Transactions that touch the caller's sub-ledger, oldest first, with its own postings; an auditor sees all."""
    months = read_months(first or FIRST_MONTH, last or LAST_MONTH) if first or last else None
    found = queries.visible_transactions(view.db, view.actor, after=after, limit=limit, months=months)
    items = [_transaction_out(one, lines) for one, lines in found]
    return TransactionPage(items=items, next=items[-1].id if len(items) == limit else None)


@routes.get("/ledger/export", operation_id="export_books", response_class=Response)
def export_books(
    view: View,
    first: Annotated[str, Query(alias="from", description="First month.", examples=["2026-01"])],
    last: Annotated[str, Query(alias="to", description="Last month, included.", examples=["2026-12"])],
    form: Annotated[Format, Query(alias="format", description="Form of the file.")] = "json",
) -> Response:
    """The caller's own books of some months for other bookkeeping, at most 20,000 transactions; an auditor's all."""
    read_months(first, last)
    queries.require_exportable(view.db, view.actor, first, last)
    found = queries.journal(view.db, view.actor, first, last)
    return Response("".join(FORMATS[form](found)), media_type=MEDIA_TYPES[form])


def _transaction_out(one: LedgerTransaction, lines: list[Posting]) -> TransactionOut:
    return TransactionOut.model_validate(
        one.model_dump() | {"postings": [PostingOut.model_validate(line) for line in lines]}
    )
