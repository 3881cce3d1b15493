"""What the books say of the one agreement of a house and its use, and that use below HTTP."""

from __future__ import annotations

from typing import Any

from sqlmodel import select

from marketplace.costing.models import MeterEvent
from marketplace.transfer import opening, queries
from marketplace.transfer.models import Transfer
from marketplace.transfer.opening import Download, Opened
from marketplace.transfer.stream import WindowSource
from marketplace.usage.models import UsageQuota
from marketplace.usage.rules import UseRequest
from tests.house import House


def quota(house: House) -> tuple[int, int, int, int]:
    """Uses reserved and settled, bytes reserved and settled."""
    with house.runtime.database.reading() as db:
        found = db.get(UsageQuota, "agr_1") or UsageQuota(agreement_id="agr_1")
        return found.uses_reserved, found.uses_settled, found.bytes_reserved, found.bytes_settled


def transfer(house: House) -> Transfer:
    with house.runtime.database.reading() as db:
        (found,) = queries.of_agreement(db, "agr_1").rows
        return found


def charged(house: House) -> list[int | None]:
    """The price of each metered use, fen."""
    with house.runtime.database.reading() as db:
        return [event.unit_price_fen for event in db.exec(select(MeterEvent)).all()]


def opened(house: House, **asked: Any) -> Opened:
    """The buyer's use, begun below HTTP."""
    download = Download("agr_1", UseRequest("model_training"), **asked)
    answer = opening.open_transfer(house.runtime, house.cast["pharma"].actor, download, house.runtime.clock.now())
    assert isinstance(answer, Opened)
    return answer


def source_of(house: House, answer: Opened) -> WindowSource:
    return WindowSource(house.runtime, house.cast["pharma"].actor, answer)
