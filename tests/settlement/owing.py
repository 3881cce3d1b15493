"""What a hospital owes for stages, as its parties read it, order it, pay it and hear of it from the bank."""

from __future__ import annotations

from marketplace.settlement.bank import statements
from marketplace.settlement.models import Payable, PaymentOrder
from marketplace.settlement.payables import queries, service
from tests.house import House
from tests.settlement.parts import balance


def payables(house: House, who: str = "hospital") -> dict[str, Payable]:
    """Kind -> what is owed, as one party reads it."""
    with house.runtime.database.reading() as db:
        return {one.kind: one for one in queries.payables_of(db, house.cast[who].actor).rows}


def order(house: House, who: str = "hospital", *events: str) -> PaymentOrder:
    with house.db() as db:
        return service.order_payables(db, house.cast[who].actor, events, house.clock.now())


def everything(house: House, who: str = "hospital") -> list[Payable]:
    with house.runtime.database.reading() as db:
        return list(queries.payables_of(db, house.cast[who].actor, limit=500).rows)


def opinions(house: House, who: str = "hospital") -> list[tuple[int, int, str]]:
    """Part, fen and state of what is owed for opinions."""
    return [(one.part, one.amount_fen, one.state) for one in everything(house, who) if one.kind == "legal.opinion"]


def pay_by_hand(house: House, event: str, who: str = "hospital", part: int = 0) -> Payable:
    with house.db() as db:
        return service.pay_by_hand(db, house.cast[who].actor, event, "B-77", house.clock.now(), part=part)


def take(house: House, text: str, who: str = "hospital") -> list[str]:
    with house.db() as db:
        told = statements.take_statement(db, house.cast[who].actor, text, house.clock.now())
        return [one.outcome for one in told]


def open_between(house: House, payee: str) -> tuple[int, int, int, int]:
    """The hospital's payable and cash, the payee's receivable and cash."""
    hospital, other = house.cast["hospital"].id, house.cast[payee].id
    accounts = [(hospital, "payable"), (hospital, "asset:cash"), (other, "receivable"), (other, "asset:cash")]
    return tuple(balance(house, *one) for one in accounts)  # type: ignore[return-value]
