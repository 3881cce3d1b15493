"""Reading accounts, credits, payment orders and what is owed back, scoped to who asks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final, TypeAlias

from sqlalchemy import case, inspect, or_
from sqlmodel import Session, col, func, select

from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.errors import NotFound
from marketplace.participants.models import Participant
from marketplace.plumbing import paging
from marketplace.plumbing.paging import Paged, PartyList
from marketplace.settlement.models import (
    BankAccount,
    BankEntry,
    Invoice,
    InvoiceLine,
    Payable,
    PaymentOrder,
    Refund,
    Share,
)
from marketplace.settlement.rules import OrderState

PAYMENTS = frozenset({"paid", "part_paid", "overpaid"})
"""Outcomes of credits that paid something."""
LONGEST_ID = 35
"""Characters of an id in ISO 20022 messages."""
LONGEST_BEGINNING = 26
"""Characters of an order's id with which the ids of its transfers begin."""
_IDS = 500
_ORDERS: Final = PartyList(
    PaymentOrder, col(PaymentOrder.made_at), sides=(col(PaymentOrder.issuer_id),), latest_first=True
)
_REFUNDS: Final = PartyList(
    Refund, col(Refund.owed_at), sides=(col(Refund.buyer_id), col(Refund.issuer_id)), latest_first=True
)
Due: TypeAlias = Refund | Share | Payable
"""What a transfer pays."""
_DUES: tuple[tuple[Any, Any, tuple[Any, ...]], ...] = (
    (Refund, col(Refund.issuer_id), (col(Refund.id),)),
    (Share, col(Share.issuer_id), (col(Share.owner), col(Share.line_id), col(Share.role))),
    (Payable, col(Payable.payer_id), (col(Payable.meter_event), col(Payable.part))),
)
"""(table, who pays, order in which rows are held)"""


class NoSuchOrder(NotFound):
    """No such payment order."""


def bank_account(db: Session, owner: str) -> BankAccount | None:
    """Where an owner is paid, None where nobody said."""
    return db.get(BankAccount, owner)


def bank_entry(db: Session, issuer: str, reference: str) -> BankEntry | None:
    """A credit that was taken already."""
    return db.get(BankEntry, (issuer, reference))


def hold_bank(db: Session, participant: str) -> None:
    """Keep whatever else a participant tells of its bank, or orders from it, waiting to the end of the transaction."""
    db.exec(select(Participant.id).where(Participant.id == participant).with_for_update(key_share=True)).first()


def orders_of(db: Session, actor: Actor, *, cursor: str | None = None, limit: int = paging.MOST) -> Paged[PaymentOrder]:
    """A page of the caller's payment orders, of all for auditors, the latest first.  Raises NotOnThisList."""
    return _ORDERS.page(db, actor, cursor, limit)


def order(db: Session, actor: Actor, order_id: str) -> PaymentOrder:
    """One payment order of the calling exchange; auditors read all.  Raises NoSuchOrder."""
    found = db.get(PaymentOrder, order_id)
    if found is None or (found.issuer_id != actor.participant and not actor.has(Role.AUDITOR)):
        raise NoSuchOrder("no payment order with this id", got=order_id)
    return found


def own_order(db: Session, actor: Actor, order_id: str) -> PaymentOrder:
    """One payment order of the caller, to act on it.  Raises NoSuchOrder."""
    found = db.get(PaymentOrder, order_id)
    if found is None or found.issuer_id != actor.participant:
        raise NoSuchOrder("no payment order with this id", got=order_id)
    return found


def refunds_of(db: Session, actor: Actor, *, cursor: str | None = None, limit: int = paging.MOST) -> Paged[Refund]:
    """A page of what the caller owes back as exchange or gets back as buyer, of all for auditors, the latest first.

    Raises NotOnThisList.
    """
    return _REFUNDS.page(db, actor, cursor, limit)


def unordered_refunds(db: Session, issuer: str) -> list[tuple[Refund, BankAccount]]:
    """What an exchange owes back to buyers with a bank account and has not ordered; read anew and held.

    What concerns an invoice whose payment the bank took back waits.
    """
    rows = (
        select(Refund, BankAccount)
        .join(BankAccount, col(BankAccount.owner) == col(Refund.buyer_id))
        .join(Invoice, col(Invoice.id) == col(Refund.invoice_id))
        .where(Refund.issuer_id == issuer, col(Refund.order_id).is_(None), ~col(Refund.void), Invoice.bounced_fen == 0)
        .order_by(col(Refund.id))
        .with_for_update(of=Refund)
        .execution_options(populate_existing=True)
    )
    return [(refund, account) for refund, account in db.exec(rows)]


def ordered_as(db: Session, payer: str, references: Collection[str]) -> list[Due]:
    """What the transfers of these references pay, read anew and held, by table and key."""
    found: list[Due] = []
    for table, pays, key in _DUES:
        rows = select(table).where(pays == payer, col(table.reference).in_(references))
        held = rows.order_by(*key).with_for_update().execution_options(populate_existing=True)
        found += db.exec(held).all()
    return found


def key_of(one: Due) -> list[str | int]:
    """The primary key of what a transfer pays."""
    return list(inspect(one).identity)


def due(db: Session, table: str, key: Sequence[str | int]) -> Due | None:
    """What a transfer paid, by its table and primary key, read anew and held."""
    (model,) = (one for one, *_ in _DUES if one.__tablename__ == table)
    found: Due | None = db.get(model, tuple(key), populate_existing=True, with_for_update=True)
    return found


def unpaid_of(db: Session, order_id: str) -> list[Due]:
    """What a payment order pays and the bank has not confirmed, read anew and held, by table and key."""
    found: list[Due] = []
    for table, _, key in _DUES:
        rows = select(table).where(table.order_id == order_id, table.paid_at.is_(None)).order_by(*key)
        found += db.exec(rows.with_for_update().execution_options(populate_existing=True)).all()
    return found


def states_of(db: Session, orders: Collection[PaymentOrder]) -> dict[str, OrderState]:
    """Payment order -> its state."""
    waiting = set[str]()
    names = sorted(one.id for one in orders if one.cancelled_at is None)
    for start in range(0, len(names), _IDS):
        for table, *_ in _DUES:
            some = table.order_id.in_(names[start : start + _IDS])
            waiting |= set(db.exec(select(table.order_id).where(some, table.paid_at.is_(None)).distinct()))
    return {
        one.id: one.cancelled_state or (OrderState.PLACED if one.id in waiting else OrderState.SETTLED)
        for one in orders
    }


def cancelled_orders(db: Session, payer: str, names: Collection[str]) -> Sequence[PaymentOrder]:
    """Cancelled payment orders whose own id, or the one that ids of transfers begin with, is among names; held."""
    own = func.substr(PaymentOrder.id, 1, LONGEST_ID).in_(names)
    begin = func.substr(PaymentOrder.id, 1, LONGEST_BEGINNING).in_({one[:LONGEST_BEGINNING] for one in names})
    rows = select(PaymentOrder).where(PaymentOrder.issuer_id == payer, col(PaymentOrder.cancelled_at).is_not(None))
    held = rows.where(or_(own, begin)).order_by(col(PaymentOrder.id)).with_for_update()
    return db.exec(held.execution_options(populate_existing=True)).all()


def references_of_orders(db: Session, payer: str, orders: Collection[str], total_fen: int) -> set[str]:
    """References of the transfers in payment orders of these ids, as far as messages hold them, of this sum in all."""
    found: set[str] = set()
    for table, *_ in _DUES:
        rows = select(table.reference).join(PaymentOrder, col(PaymentOrder.id) == col(table.order_id))
        rows = rows.where(PaymentOrder.issuer_id == payer, PaymentOrder.total_fen == total_fen)
        rows = rows.where(col(PaymentOrder.cancelled_at).is_(None))
        named = rows.where(func.substr(PaymentOrder.id, 1, LONGEST_ID).in_(orders))
        found |= {one for one in db.exec(named) if one is not None}
    return found


def untold(db: Session, found: Invoice, amount_fen: int) -> BankEntry | None:
    """The earliest payment of this sum for an invoice that came by hand and that no statement has told yet."""
    rows = select(BankEntry).where(BankEntry.invoice_id == found.id, BankEntry.amount_fen == amount_fen)
    rows = rows.where(col(BankEntry.by_hand), col(BankEntry.told_as).is_(None), BankEntry.outcome != "reversed")
    return db.exec(rows.order_by(col(BankEntry.taken_at), col(BankEntry.reference)).limit(1)).first()


def payment_of(db: Session, found: Invoice, amount_fen: int, reference: str) -> BankEntry | None:
    """The payment of this sum for an invoice that stands: the one with this reference first, else the latest."""
    rows = select(BankEntry).where(BankEntry.invoice_id == found.id, BankEntry.amount_fen == amount_fen)
    rows = rows.where(col(BankEntry.outcome).in_(PAYMENTS))
    named = or_(col(BankEntry.reference) == reference, func.coalesce(BankEntry.told_as, "") == reference)
    order = (case((named, 0), else_=1), col(BankEntry.taken_at).desc(), col(BankEntry.reference))
    return db.exec(rows.order_by(*order).limit(1)).first()


def withdrawable(db: Session, found: Invoice, first: str) -> Sequence[Refund]:
    """What is owed back of what was paid for an invoice and is not ordered, read anew and held.

    first: the cause that comes first.
    """
    rows = select(Refund).where(Refund.invoice_id == found.id, Refund.cause != "deposit")
    rows = rows.where(col(Refund.order_id).is_(None), ~col(Refund.void))
    rows = rows.order_by(case((col(Refund.cause_key) == first, 0), else_=1), col(Refund.id)).with_for_update()
    return db.exec(rows.execution_options(populate_existing=True)).all()


def bounced_lines(db: Session, issuer: str) -> set[str]:
    """The lines of an exchange's invoices whose payment the bank took back and nobody has made good."""
    rows = select(InvoiceLine.id).join(Invoice, col(Invoice.id) == col(InvoiceLine.invoice_id))
    return set(db.exec(rows.where(Invoice.issuer_id == issuer, Invoice.bounced_fen > 0)))
