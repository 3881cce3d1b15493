"""Accounting acts over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from marketplace.accounting import capital, closing, costs, disclosure, queries, work
from marketplace.accounting.costs import Grouping
from marketplace.accounting.schemas import (
    CapitalisationIn,
    CapitalisationOut,
    CostGroupOut,
    DisclosureOut,
    EstimateOut,
    PeriodCloseDocument,
    PeriodClosingIn,
    PeriodOut,
    PeriodReopeningIn,
    TrialBalanceOut,
    WorkOut,
    WorkStatementIn,
)
from marketplace.assets import queries as assets
from marketplace.audit import cells
from marketplace.kernel.actor import Role
from marketplace.ledger import balances
from marketplace.ledger import queries as ledger
from marketplace.ledger.periods import read_months, read_period
from marketplace.plumbing.web import Verb, View, router

routes = router("accounting")


@routes.get("/ledger/periods", operation_id="list_periods")
def list_periods(view: View) -> list[PeriodOut]:
    """The months of the books that were closed at least once, oldest first; every other month is open."""
    return [PeriodOut.model_validate(one) for one in ledger.periods(view.db)]


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


@routes.post("/assets/{asset_id}/capitalisation", status_code=201, operation_id="capitalise_asset")
def capitalise_asset(verb: Verb, asset_id: str, asked: CapitalisationIn) -> CapitalisationOut:
    """The provider carries the cost of its certified asset as intangible asset or inventory, once and for good."""
    asset = assets.own_asset(verb.db, verb.actor, asset_id)
    return CapitalisationOut.model_validate(capital.capitalise(verb.db, verb.actor, asset, asked, verb.now))


@routes.post("/assets/{asset_id}/work-statements", status_code=201, operation_id="state_work")
def state_work(verb: Verb, asset_id: str, asked: WorkStatementIn) -> WorkOut:
    """The provider states under its signature hours or documents that its asset took; a reference is metered once."""
    asset = assets.own_asset(verb.db, verb.actor, asset_id)
    return WorkOut.model_validate(work.state_work(verb.db, verb.actor, asset, asked, verb.now))


@routes.get("/accounting/disclosure", operation_id="get_accounting_disclosure")
def get_accounting_disclosure(
    view: View,
    first: Annotated[str, Query(alias="from", description="First month.", examples=["2026-01"])],
    last: Annotated[str, Query(alias="to", description="Last month, included.", examples=["2026-12"])],
) -> DisclosureOut:
    """The caller's own data resources for the notes of its accounts; an auditor sees everybody's."""
    read_months(first, last)
    return DisclosureOut.model_validate(disclosure.sheet(view.db, view.actor, first, last, view.now))


@routes.get("/accounting/disclosure.csv", operation_id="get_accounting_disclosure_csv", response_class=Response)
def get_accounting_disclosure_csv(
    view: View,
    first: Annotated[str, Query(alias="from", description="First month.", examples=["2026-01"])],
    last: Annotated[str, Query(alias="to", description="Last month, included.", examples=["2026-12"])],
) -> Response:
    """The same as a table for spreadsheets, amounts in yuan."""
    read_months(first, last)
    found = disclosure.sheet(view.db, view.actor, first, last, view.now)
    return Response(disclosure.as_csv(found), media_type=cells.MEDIA_TYPE)


@routes.get("/costs", operation_id="list_costs")
def list_costs(
    view: View, by: Annotated[Grouping, Query(description="What the costs are summed by.")] = Grouping.ASSET
) -> list[CostGroupOut]:
    """The caller's own stage costs, largest first; an auditor sees everybody's."""
    return [CostGroupOut.model_validate(one) for one in costs.grouped(view.db, view.actor, by)]


@routes.get("/assets/{asset_id}/costs/estimate", operation_id="get_cost_estimate")
def get_cost_estimate(
    view: View, asset_id: str, records: Annotated[int, Query(ge=0, le=10**9, description="Records planned.")]
) -> EstimateOut:
    """What the stages were to be expected to cost at the tariffs of the registration, beside the books."""
    asset = queries.readable_asset(view.db, view.actor, asset_id)
    return EstimateOut.model_validate(costs.estimate(view.db, asset, records))
