"""What a use would cost: the same engine as the bill, asked before anything is agreed or used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from marketplace.charging import queries, rules
from marketplace.costing.formulas import PriceSplit, split_price
from marketplace.costing.tariffs import tariff_book
from marketplace.exchange.pricing import (
    Charge,
    Month,
    Rate,
    Subscription,
    charge_of,
    price_of_access,
    rate_of,
    read_plan,
)
from marketplace.kernel.canonical import Json
from marketplace.negotiation import access
from marketplace.negotiation.models import Agreement

BUYER_FEE = "exchange.buyer_fee"


@dataclass(frozen=True)
class Preview:
    """What so much would cost now.

    rate: None where uses cost nothing; month: as charged so far; split: of what the use would cost into taxes and fees,
    which the price includes; access_fen: due once, with the agreement or trial_days later; buyer_fee_fen: of the
    exchange, once per buyer.
    """

    kind: str
    rate: Rate | None
    name: str
    before: Month
    charge: Charge
    split: PriceSplit
    access_fen: int
    buyer_fee_fen: int
    trial_days: int = 0

    @property
    def cap_left_fen(self) -> int | None:
        """What the month can still cost after this use, None without a cap."""
        cap = self.rate.cap_fen if self.rate else None
        return None if cap is None else cap - self.charge.after.charged_fen

    @property
    def trial_left(self) -> int:
        """Quanta that are still free after this use."""
        return max(self.rate.trial - self.charge.after.trial_used, 0) if self.rate else 0


def preview(plan: Json, before: Month, quanta: int, now: datetime, *, trial_days: int | None = None) -> Preview:
    """What so many quanta of the plan's measure would cost at a moment, after what the month has had.

    trial_days: of the buyer, None = as the plan says, for whoever has not had an agreement on the asset before.
    Raises BadQuantity, NoTariff.
    """
    read = read_plan(plan)
    rate, book = rate_of(read), tariff_book()
    if trial_days is None:
        trial_days = (read.trial_days or 0) if isinstance(read, Subscription) else 0
    charged = charge_of(rate, before, quanta) if rate else Charge(quanta, 0, 0, False, before)
    return Preview(
        kind=read.kind,
        rate=rate,
        name=rules.month_of(now),
        before=before,
        charge=charged,
        split=split_price(charged.amount_fen, book.terms(now)),
        access_fen=price_of_access(plan).minor,
        buyer_fee_fen=book.at(BUYER_FEE, now).tariff.value,
        trial_days=trial_days,
    )


def preview_of_agreement(db: Session, agreement: Agreement, quanta: int, now: datetime) -> Preview:
    """What so much more would cost under an agreement in the month that runs."""
    before = queries.had(db, agreement, rules.month_of(now))
    plan, trial = queries.signed_plan(db, agreement), access.trial_days(db, agreement)
    return preview(plan, before, quanta, now, trial_days=trial)
