"""Reading what is to come and what was: lists and sums for those who read them on a page, scoped to who asks."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, or_, tuple_
from sqlmodel import Session, col, func, select

from marketplace.assets.models import Asset
from marketplace.costing.models import MeterEvent
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import canonical, read_strictly
from marketplace.kernel.errors import Invalid, shown
from marketplace.ledger.models import LedgerTransaction
from marketplace.plumbing.paging import Paged
from marketplace.settlement.models import Invoice, InvoiceLine, Share
from marketplace.settlement.queries import DEPOSIT, INVOICES, SALES, Billable, charges, own_shares, unbilled
from marketplace.settlement.rules import InvoiceState

DEPARTMENTS = ("department", "annotators")
"""Roles of those who made an asset, and whose share follows the department that it was registered for."""


@dataclass(frozen=True)
class Summed:
    """What an owner gets in a role of the sales of an asset, fen.

    ordered_fen: the part that is in payment orders; waiting_fen: that is not, and is not the fee that an exchange keeps
    of what it was paid.
    """

    asset: str | None
    role: str
    owner: str
    lines: int
    amount_fen: int
    ordered_fen: int
    waiting_fen: int

    @property
    def cursor(self) -> str:
        """Where what stands behind this one begins."""
        place = [self.amount_fen, self.asset or "", self.role, self.owner]
        return base64.urlsafe_b64encode(canonical(place)).decode().rstrip("=")


@dataclass(frozen=True)
class OfDepartment:
    """What the assets of a department have brought it, or its annotators, fen.  department: empty where none is named.

    lines: paid sales; ordered_fen: the part that is in payment orders, the rest waits.
    """

    department: str
    role: str
    lines: int
    amount_fen: int
    ordered_fen: int


@dataclass(frozen=True)
class Divided:
    """All shares in figures, fen.  by_role: what each role got; own: what the caller itself got; parts: what its
    departments and other parts got; ordered: how much of both is in payment orders.
    """

    by_role: dict[str, int]
    own: int
    parts: int
    ordered: int


class BadPlace(Invalid):
    """The cursor was not made by this list."""


def owed(db: Session, actor: Actor, now: datetime) -> tuple[int, int]:
    """(fen that the caller still owes on its invoices; the part of it that is past its due date).

    What was paid already and what credit notes took back is owed no more; what the bank took back is owed again.
    """
    open_ = col(Invoice.state).in_((InvoiceState.ISSUED, InvoiceState.OVERDUE))
    asked = col(Invoice.total_fen) - col(Invoice.credited_fen) - col(Invoice.received_fen)
    left = case((open_, asked), else_=col(Invoice.bounced_fen))
    rows = select(func.coalesce(func.sum(left), 0), func.coalesce(func.sum(left).filter(col(Invoice.due_at) <= now), 0))
    every, late = db.exec(rows.where(Invoice.buyer_id == actor.participant, Invoice.kind == "invoice")).one()
    # PostgreSQL sums BIGINT as NUMERIC, hence int().
    return int(every), int(late)


def bought_invoices(db: Session, actor: Actor, *, cursor: str | None = None, limit: int) -> Paged[Invoice]:
    """A page of invoices to the caller and credit notes about them, the latest first.  Raises NotOnThisList."""
    return INVOICES.page_as(db, actor, col(Invoice.buyer_id), cursor, limit)


def issued_invoices(db: Session, actor: Actor, *, cursor: str | None = None, limit: int) -> Paged[Invoice]:
    """A page of invoices and credit notes that the caller issued, the latest first.  Raises NotOnThisList."""
    return INVOICES.page_as(db, actor, col(Invoice.issuer_id), cursor, limit)


def to_come(db: Session, actor: Actor, now: datetime, *, limit: int) -> list[Billable]:
    """What the caller was charged as a buyer by now, at any exchange, and no invoice holds, the latest first."""
    latest = (col(MeterEvent.at).desc(), col(MeterEvent.id).desc())
    return charges(db, _to_come(actor, now), latest, limit=limit)


def sum_to_come(db: Session, actor: Actor, now: datetime) -> int:
    """What all of `to_come` costs together, fen, VAT included."""
    price = col(LedgerTransaction.quantity) * col(LedgerTransaction.unit_price_minor)
    rows = select(func.coalesce(func.sum(price), 0))
    rows = rows.join(MeterEvent, col(MeterEvent.id) == col(LedgerTransaction.meter_event))
    return int(db.exec(rows.where(*_to_come(actor, now))).one())


def credit_notes(db: Session, invoice_id: str) -> Sequence[Invoice]:
    """What was taken back of an invoice, the earliest first."""
    rows = select(Invoice).where(Invoice.credits == invoice_id)
    return db.exec(rows.order_by(col(Invoice.issued_at), col(Invoice.id))).all()


def lines_after(db: Session, invoice: Invoice, position: int, *, limit: int) -> Sequence[InvoiceLine]:
    """Lines of an invoice, or those that a credit note took back, that stand after a position, in order."""
    whose = InvoiceLine.credited_by if invoice.kind == "credit_note" else InvoiceLine.invoice_id
    rows = select(InvoiceLine).where(col(whose) == invoice.id, col(InvoiceLine.position) > position)
    return db.exec(rows.order_by(col(InvoiceLine.position)).limit(limit)).all()


def sold_lines(db: Session, actor: Actor, *, limit: int) -> list[tuple[InvoiceLine, Invoice]]:
    """Lines of the caller's own sales with the invoice that each stands on, the latest first."""
    rows = select(InvoiceLine, Invoice).join(Invoice, col(Invoice.id) == col(InvoiceLine.invoice_id))
    rows = rows.where(InvoiceLine.provider_id == actor.participant, col(InvoiceLine.kind).in_((*SALES, DEPOSIT)))
    return list(db.exec(rows.order_by(col(InvoiceLine.at).desc(), col(InvoiceLine.id).desc()).limit(limit)))


def divided(db: Session, actor: Actor) -> Divided:
    """Into what the sales were divided whose shares the caller may read, without void ones: a row per role is read."""
    mine = (
        col(Share.owner) == actor.participant,
        col(Share.owner).startswith(f"{actor.participant}:", autoescape=True),
    )
    amount, ordered = col(Share.amount_fen), col(Share.order_id).is_not(None)
    sums = [func.sum(amount).filter(one) for one in (*mine, and_(or_(*mine), ordered))]
    rows = select(col(Share.role), func.sum(amount), *sums).where(*own_shares(actor), ~col(Share.void))
    found = db.exec(rows.group_by(col(Share.role))).all()
    own, parts, paid = (sum(int(row[place] or 0) for row in found) for place in (2, 3, 4))
    return Divided({row[0]: int(row[1]) for row in found}, own, parts, paid)


def shares_summed(db: Session, actor: Actor, *, limit: int, after: str | None = None) -> list[Summed]:
    """The same shares summed by asset, role and owner, the largest first.  after: a cursor.  Raises BadPlace."""
    names = (func.coalesce(col(Share.asset_id), ""), col(Share.role), col(Share.owner))
    amount = func.sum(Share.amount_fen)
    ordered = amount.filter(col(Share.order_id).is_not(None))
    waiting = amount.filter(col(Share.order_id).is_(None), col(Share.owner) != col(Share.issuer_id))
    rows = select(*names, func.count(), amount, ordered, waiting)  # type: ignore[call-overload]
    rows = rows.where(*own_shares(actor), ~col(Share.void))
    if after is not None:
        last, *place = _place(after)
        rows = rows.having(or_(amount < last, and_(amount == last, tuple_(*names) > tuple_(*place))))
    found = db.exec(rows.group_by(*names).order_by(amount.desc(), *names).limit(limit))
    return [
        Summed(asset or None, role, owner, lines, int(fen), int(paid or 0), int(left or 0))
        for asset, role, owner, lines, fen, paid, left in found
    ]


def of_departments(db: Session, actor: Actor) -> list[OfDepartment]:
    """What each department of the caller, and its annotators, got of the caller's sales, the largest first."""
    names = (func.coalesce(col(Asset.department), ""), col(Share.role))
    amount = func.sum(Share.amount_fen)
    ordered = amount.filter(col(Share.order_id).is_not(None))
    rows = select(*names, func.count(), amount, ordered).outerjoin(Asset, col(Asset.id) == col(Share.asset_id))  # type: ignore[call-overload]
    rows = rows.where(Share.provider_id == actor.participant, col(Share.role).in_(DEPARTMENTS), ~col(Share.void))
    found = db.exec(rows.group_by(*names).order_by(amount.desc(), *names))
    return [OfDepartment(name, role, lines, int(fen), int(paid or 0)) for name, role, lines, fen, paid in found]


def _place(cursor: str) -> tuple[int, str, str, str]:
    try:
        amount, asset, role, owner = read_strictly(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return int(amount), str(asset), str(role), str(owner)
    except (ValueError, TypeError, Invalid) as error:
        raise BadPlace("the cursor is not readable", got=shown(cursor), action="start without a cursor") from error


def _to_come(actor: Actor, now: datetime) -> tuple[ColumnElement[bool], ...]:
    payer = (col(MeterEvent.payer_id) == actor.participant, col(MeterEvent.at) <= now)
    return (*unbilled(), *payer, col(LedgerTransaction.unit_price_minor) > 0)
