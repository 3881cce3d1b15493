"""Where a price only recovers a cost, contracts end with the cost: no margin is made, however many buy."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.assets import queries as assets
from marketplace.costing.formulas import split_price
from marketplace.costing.recovery import left_to_recover
from marketplace.costing.tariffs import tariff_book
from marketplace.kernel.errors import Conflict
from marketplace.negotiation.models import Agreement


class CostRecovered(Conflict):
    """The cost of the asset is recovered: another contract at this price would make a margin."""


def require_no_margin(db: Session, agreement: Agreement, price_fen: int, now: datetime) -> None:
    """Refuse to put an agreement in force whose price recovers more than the asset has cost and not earned yet.

    price_fen: what is charged for access, VAT included; what stays of it after levies counts.  Free and market prices
    pass.  Raises CostRecovered (gate H4, HGR regulation art. 10).
    """
    if agreement.price_plan.get("regime") != "cost_only":
        return
    assets.lock_asset(db, agreement.asset_id)
    left = left_to_recover(db, agreement.asset_id)
    brought = split_price(price_fen, tariff_book().terms(now)).distributable
    if brought > max(left, 0):
        raise CostRecovered(
            "data whose price only recovers its cost is sold until the cost is back",
            expected=f"a price of which at most {max(left, 0)} fen stay after levies",
            got=f"{brought} fen",
            action="lower the price, or give the data free of charge",
        )
