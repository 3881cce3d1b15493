"""Sales that are charged and posted, invoices and payments, all by the real verbs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlmodel import Session

from marketplace.charging import queries as charging_queries
from marketplace.charging import service as charging
from marketplace.charging.rules import Used
from marketplace.costing.service import post_pending
from marketplace.kernel.actor import Actor
from marketplace.ledger import queries as books
from marketplace.ledger.rules import ReversalReason
from marketplace.negotiation import queries as negotiation
from marketplace.settlement import billing, choosing, crediting, paying, queries
from marketplace.settlement.models import Invoice, InvoiceLine, Share
from marketplace.settlement.schemas import BankAccountIn, SchemeChoiceIn
from tests.exchange.parts import PRICE_FEN, terms_of
from tests.house import House
from tests.negotiation.parts import finalized

FEE_FEN = 998_000
USE_FEN = 90_000
PER_USE = terms_of("per-case/v1")


def exchange(house: House) -> Actor:
    return house.cast["exchange"].actor


def post(house: House) -> None:
    with house.db() as db:
        while post_pending(db, house.clock.now()).posted:
            pass


def sold(house: House, *, uses: int = 0, **terms: Any) -> str:
    """A sale to pharma with so many uses, all of it posted; the agreement's id.  Access costs PRICE_FEN."""
    agreement = finalized(house, **terms) if terms else finalized_per_use(house)
    for number in range(uses):
        use(house, agreement.id, number)
    post(house)
    return agreement.id


def finalized_per_use(house: House) -> Any:
    from tests.exchange.parts import listed

    return finalized(house, listing=listed(house, **PER_USE), purpose=PER_USE["parameters"]["purposes"][0])


def use(house: House, agreement_id: str, number: int) -> int:
    with house.db() as db:
        agreement = negotiation.agreement(db, agreement_id)
        plan = charging_queries.signed_plan(db, agreement)
        used = Used(f"trf_{agreement_id}_{number}", 1, 1, 0)
        return charging.charge(db, house.cast["pharma"].actor, agreement, plan, used, house.clock.now())


def bill(house: House, **asked: Any) -> Invoice | None:
    issuer, buyer = exchange(house), house.cast["pharma"].id
    with house.db() as db:
        return billing.issue(db, issuer, issuer.participant, buyer, house.clock.now(), **asked)


def billed(house: House, **asked: Any) -> Invoice:
    found = bill(house, **asked)
    assert found is not None
    return found


def billed_twice(house: House) -> tuple[str, Invoice, Invoice]:
    """An agreement, the invoice of its access, and the next one, of a use."""
    agreement, first = sold(house), billed(house)
    use(house, agreement, 1)
    post(house)
    return agreement, first, billed(house)


def pay(house: House, invoice: Invoice, reference: str = "bank-1", amount: int | None = None) -> Invoice:
    with house.db() as db:
        found = queries.invoice(db, invoice.id)
        due = found.total_fen - found.credited_fen if amount is None else amount
        return paying.pay(db, exchange(house), found, reference, due, house.clock.now())


def credit(house: House, invoice: Invoice, positions: Collection[int] = ()) -> Invoice:
    with house.db() as db:
        return credit_in(db, house, invoice, positions)


def credit_in(db: Session, house: House, invoice: Invoice, positions: Collection[int] = ()) -> Invoice:
    found = queries.invoice(db, invoice.id)
    why = ReversalReason.CAUSE_CANCELLED
    return crediting.credit(db, exchange(house), found, positions, why, house.clock.now())


def choose(house: House, scheme: str, **owners: str) -> None:
    asked = SchemeChoiceIn(scheme=scheme, owners=owners)
    with house.db() as db:
        choosing.choose_scheme(db, house.cast["hospital"].actor, asked, house.clock.now())


def bank(house: House, who: str, part: Any = None, *, account: str = "6222000011112222") -> None:
    asked = BankAccountIn(part=part, holder=f"示例户名 {who}", account=account, bank="102100099996")
    with house.db() as db:
        choosing.set_account(db, house.cast[who].actor, asked, house.clock.now())


def lines(house: House, invoice: Invoice) -> list[InvoiceLine]:
    with house.runtime.database.reading() as db:
        return list(queries.lines(db, invoice.id))


def shares(house: House, line: InvoiceLine) -> dict[str, int]:
    """Role -> fen of what is not void."""
    with house.runtime.database.reading() as db:
        return {one.role: one.amount_fen for one in queries.shares_of_line(db, line.id) if not one.void}


def all_shares(house: House) -> list[Share]:
    with house.runtime.database.reading() as db:
        return list(queries.shares_of(db, house.cast["auditor"].actor, limit=500).rows)


def balance(house: House, owner: str, account: str) -> int:
    with house.runtime.database.reading() as db:
        found = {one.account: one.amount_minor for one in books.balances(db, owner=owner)}
    return found.get(account, 0)


def imbalance(house: House) -> int:
    with house.runtime.database.reading() as db:
        return books.imbalance(db)


def transactions(house: House) -> int:
    with house.runtime.database.reading() as db:
        return books.counts(db)[0]


__all__ = ["FEE_FEN", "PRICE_FEN", "USE_FEN"]
