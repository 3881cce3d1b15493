"""What a stop now would end and cost: pure arithmetic over what runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from marketplace.exchange.pricing import Subscription, read_plan
from marketplace.kernel.money import round_half_up
from marketplace.negotiation.models import Agreement
from marketplace.planning.queries import ACCESS


@dataclass(frozen=True)
class Ended:
    """An agreement that a stop would end, its figures in fen, VAT included.

    refund_fen: the part of what was charged for access that belongs to the rest of the term; lost_fen: what its uses
    would bring in the rest of the term if they go on as so far, and the price that its trial still puts off.
    """

    agreement: str
    asset: str
    buyer: str
    ends_at: datetime
    refund_fen: int
    lost_fen: int


@dataclass(frozen=True)
class Stop:
    """What a stop of everything now means, fen.

    sunk: cost by passport stage, which no stop brings back; impairment_fen: what the books still carry as data
    inventory or data assets and would have to write off; unrecovered_fen: cost that no income has met.
    """

    ended: list[Ended]
    refund_fen: int
    lost_fen: int
    sunk: dict[str, int]
    impairment_fen: int
    unrecovered_fen: int

    @property
    def cost_fen(self) -> int:
        """Refunds, income that will not come, and what is written off."""
        return self.refund_fen + self.lost_fen + self.impairment_fen


def ended(agreement: Agreement, charged: Mapping[tuple[str, str], int], now: datetime) -> Ended:
    """What ending an agreement now gives back and forgoes, pro rata of its term, rounded half up to the fen."""
    begins = max(agreement.starts_at, agreement.finalized_at or agreement.starts_at)
    whole = max(int((agreement.ends_at - begins).total_seconds()), 1)
    passed = min(max(int((now - begins).total_seconds()), 0), whole)
    access = sum(fen for (one, kind), fen in charged.items() if one == agreement.id and kind == ACCESS)
    uses = sum(fen for (one, kind), fen in charged.items() if one == agreement.id and kind != ACCESS)
    return Ended(
        agreement=agreement.id,
        asset=agreement.asset_id,
        buyer=agreement.buyer_id,
        ends_at=agreement.ends_at,
        refund_fen=round_half_up(Fraction(access * (whole - passed), whole)),
        lost_fen=(round_half_up(Fraction(uses * (whole - passed), passed)) if passed else 0)
        + (0 if access else _put_off(agreement)),
    )


def _put_off(agreement: Agreement) -> int:
    """The price of access, fen, that is charged after a trial, and not at all if the agreement ends before; else 0."""
    plan = read_plan(agreement.price_plan)
    return plan.price_fen if isinstance(plan, Subscription) and plan.trial_days else 0


def stop(ended: Sequence[Ended], sunk: Mapping[str, int], *, impairment: int, unrecovered: int) -> Stop:
    """The sums over everything that a stop would end."""
    return Stop(
        ended=list(ended),
        refund_fen=sum(one.refund_fen for one in ended),
        lost_fen=sum(one.lost_fen for one in ended),
        sunk=dict(sunk),
        impairment_fen=impairment,
        unrecovered_fen=unrecovered,
    )
