"""What a use would cost, over HTTP: reading only."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from marketplace.charging.preview import preview, preview_of_agreement
from marketplace.charging.schemas import PreviewOut, shown
from marketplace.exchange.pricing import Month
from marketplace.exchange.queries import visible_listing
from marketplace.negotiation.queries import had_access, readable_agreement
from marketplace.plumbing.web import OpenView, View, router

routes = router("charging")

Quantity = Annotated[
    int,
    Query(ge=0, le=10**15, description="How much of what the plan measures: uses, studies or bytes."),
]


@routes.get("/catalogue/{listing_id}/price", operation_id="preview_listing_price")
def preview_listing_price(view: OpenView, listing_id: str, quantity: Quantity = 1) -> PreviewOut:
    """What access and so much use of a visible listing would cost a caller in a fresh month, by the bills' engine."""
    row = visible_listing(view.db, listing_id, view.now, reader=view.actor.participant)
    known = had_access(view.db, view.actor.participant, row.asset.id)
    return shown(preview(row.offer.price_plan, Month(), quantity, view.now, trial_days=0 if known else None))


@routes.get("/agreements/{agreement_id}/price", operation_id="preview_use_price")
def preview_use_price(view: View, agreement_id: str, quantity: Quantity = 1) -> PreviewOut:
    """What so much more use would cost now under an agreement, after what this month has had; for its parties."""
    agreement = readable_agreement(view.db, view.actor, agreement_id)
    return shown(preview_of_agreement(view.db, agreement, quantity, view.now))
