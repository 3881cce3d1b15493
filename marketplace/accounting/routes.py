"""Accounting acts over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from marketplace.accounting import closing
from marketplace.accounting.schemas import (
    PeriodCloseDocument,
    PeriodClosingIn,
    PeriodOut,
    PeriodReopeningIn,
    TrialBalanceOut,
)
from marketplace.kernel.actor import Role
from marketplace.ledger import balances, queries
from marketplace.ledger.periods import read_period
from marketplace.plumbing.web import Verb, View, router

routes = router("accounting")


@routes.get("/ledger/periods", operation_id="list_periods")
def list_periods(view: View) -> list[PeriodOut]:
    """The months of the books that were closed at least once, oldest first; every other month is open."""
    return [PeriodOut.model_validate(one) for one in queries.periods(view.db)]


@routes.get("/ledger/periods/{period}/trial-balance", operation_id="get_trial_balance")
def get_trial_balance(
    view: View,
    period: str,
    everybody: Annotated[
        bool, Query(description="For the platform operator, who signs the whole: everybody's.")
    ] = False,
) -> list[TrialBalanceOut]:
    """The caller's own accounts in a month; an auditor sees everybody's."""
    whole = view.actor.has(Role.AUDITOR) or (everybody and view.actor.has(Role.PLATFORM_OPERATOR))
    owner = None if whole else view.actor.participant
    found = balances.trial_balance(view.db, read_period(period), owner=owner)
    return [TrialBalanceOut.model_validate(one) for one in found]


@routes.get("/ledger/periods/{period}/closing", operation_id="get_period_closing")
def get_period_closing(view: View, period: str) -> PeriodCloseDocument:
    """The document that closes a period as the books are now, for the platform operator to sign."""
    content = closing.document_to_sign(view.db, view.actor, read_period(period), view.now)
    return PeriodCloseDocument.model_validate(content)


@routes.post("/ledger/periods/{period}/closing", operation_id="close_period")
def close_period(verb: Verb, period: str, asked: PeriodClosingIn) -> PeriodOut:
    """The platform operator closes a month under its signature; what comes later counts in the next."""
    return PeriodOut.model_validate(closing.close(verb.db, verb.actor, read_period(period), asked, verb.now))


@routes.post("/ledger/periods/{period}/reopening", operation_id="reopen_period")
def reopen_period(verb: Verb, period: str, asked: PeriodReopeningIn) -> PeriodOut:
    """The platform operator opens the last closed month again under its signature, with a reason."""
    return PeriodOut.model_validate(closing.reopen(verb.db, verb.actor, read_period(period), asked, verb.now))
