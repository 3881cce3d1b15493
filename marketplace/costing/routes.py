"""Costs over HTTP: reading only; events are metered by the stages and uses that cause them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from marketplace.costing import queries
from marketplace.costing.schemas import CostSheetOut, TariffOut
from marketplace.costing.sheet import DEFAULT_PRICES_FEN, Asked, cost_sheet
from marketplace.costing.tariffs import tariff_book
from marketplace.plumbing.web import PublicView, View, router

routes = router("costing")

Fen = Annotated[int, Query(ge=1, le=10**12)]


@routes.get("/assets/{asset_id}/costs", operation_id="get_asset_costs")
def get_asset_costs(
    view: View,
    asset_id: str,
    price: Annotated[
        list[Fen] | None,
        Query(
            description="Prices in fen to judge, VAT included; default: 20,000, 50,000 and 100,000 yuan.", max_length=20
        ),
    ] = None,
    records: Annotated[int | None, Query(ge=0, description="Default: the scans governed and posted.")] = None,
    marginal_fen: Annotated[int | None, Query(ge=0, le=10**12, description="Default: the tariffs' figure.")] = None,
    operator_per_mille: Annotated[int, Query(ge=0, le=800, description="Share of the price without VAT.")] = 0,
) -> CostSheetOut:
    """The cost sheet of an asset, from the books: for who bears its costs or sells it, and for auditors."""
    queries.require_sheet_access(view.db, view.actor, asset_id)
    asked = Asked(
        prices=price or DEFAULT_PRICES_FEN,
        records=records,
        marginal_fen=marginal_fen,
        operator_per_mille=operator_per_mille,
    )
    return CostSheetOut.model_validate(cost_sheet(view.db, asset_id, asked, view.now))


@routes.get("/tariffs", operation_id="list_tariffs")
def list_tariffs(_view: PublicView) -> list[TariffOut]:
    """Every published tariff with its source, range and grade; open to everybody."""
    return [
        TariffOut(id=one.id, sheet=one.sheet, currency=one.currency, **one.tariff.model_dump())
        for one in tariff_book().published
    ]
