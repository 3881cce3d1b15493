"""Plans over HTTP: reading only; they rest on the books and change nothing."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from marketplace.costing import queries as costing
from marketplace.exchange import queries as exchange
from marketplace.participants import queries as participants
from marketplace.planning import board, director, matching, queries
from marketplace.planning.director import Assumed
from marketplace.planning.forecast import Range
from marketplace.planning.schemas import (
    AssetLineOut,
    BoardOut,
    DirectorOut,
    MatchOut,
    MatchPage,
    MentionsOut,
    ScenarioRowOut,
    SimulationOut,
)
from marketplace.plumbing.web import View, router

routes = router("planning")

Fen = Annotated[int, Query(ge=1, le=10**12)]
Sales = Annotated[int, Query(ge=0, le=10**6)]
PerMille = Annotated[int, Query(ge=0, le=800, description="Operator's share of the price without VAT.")]


@routes.get("/director", operation_id="get_director_page")
def get_director_page(
    view: View, provider: Annotated[str | None, Query(max_length=64, description="Whose page an auditor reads.")] = None
) -> DirectorOut:
    """What every asset of the caller cost and earned, when it pays back, the risk, and what a stop would cost."""
    found = director.page(view.db, queries.whose(view.actor, provider), view.now)
    lines = [
        AssetLineOut.model_validate({**vars(one), "name": one.asset.name, "name_en": one.asset.name_en})
        for one in found.assets
    ]
    return DirectorOut.model_validate({**vars(found), "assets": lines})


@routes.get("/assets/{asset_id}/simulation", operation_id="simulate_asset")
def simulate_asset(
    view: View,
    asset_id: str,
    price_low: Fen = 2_000_000,
    price_high: Fen = 10_000_000,
    sales_low: Sales = 1,
    sales_high: Sales = 5,
    operator_low: PerMille = 0,
    operator_high: PerMille = 300,
    cost_spread: Annotated[int, Query(ge=0, le=1000, description="± thousandths of the cost in the books.")] = 100,
    seed: Annotated[int, Query(ge=0, le=2**53, description="The same seed gives the same answer.")] = 1,
    runs: Annotated[int, Query(ge=1, le=5000)] = 1000,
) -> SimulationOut:
    """What an asset may bring: worst, middle and best case, what each factor decides, and drawn futures."""
    costing.require_sheet_access(view.db, view.actor, asset_id)
    asked = Assumed(
        price=Range(price_low, price_high),
        sales=Range(sales_low, sales_high),
        operator=Range(operator_low, operator_high),
        cost_spread=cost_spread,
    )
    found = director.outlook(view.db, asset_id, asked, view.now, seed=seed, runs=runs)
    return SimulationOut.model_validate({**vars(found), **vars(found.drawn)})


@routes.get("/demand-board", operation_id="get_demand_board")
def get_demand_board(view: View) -> BoardOut:
    """What buyers look for and what is listed, by scenario, beside a third party's count of mentions."""
    rows = [ScenarioRowOut.model_validate(one) for one in board.board(view.db, view.now)]
    return BoardOut(rows=rows, mentions_of=MentionsOut.model_validate(board.mentions()))


@routes.get("/demands/{demand_id}/matches", operation_id="list_demand_matches")
def list_demand_matches(
    view: View,
    demand_id: str,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> MatchPage:
    """A page of the catalogue judged by a demand: what fits, and for every filter that is not passed, why."""
    asked = queries.demand(view.db, demand_id)
    foreign = participants.participant(view.db, asked.buyer_id).foreign_controlled
    page = exchange.visible(view.db, view.now, cursor=cursor, limit=limit)
    found = matching.ordered([matching.match(asked, row, foreign_controlled=foreign) for row in page.rows])
    return MatchPage(items=[MatchOut.model_validate(one) for one in found], next=page.next_cursor)
