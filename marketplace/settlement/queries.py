"""Reading invoices, shares and what is not billed yet, scoped to who asks; what goes through a bank: `bank/queries`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, and_, cast, or_, true
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, func, select

from marketplace.costing.models import MeterEvent
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.errors import NotFound
from marketplace.ledger import queries as books
from marketplace.ledger.accounts import chart
from marketplace.ledger.models import LedgerTransaction, Posting
from marketplace.plumbing import paging
from marketplace.plumbing.paging import Order, Paged, PartyList
from marketplace.settlement.models import (
    BankAccount,
    Invoice,
    InvoiceLine,
    SchemeChoice,
    Share,
)

_PAGE = 500
BUYER_FEE = "exchange.buyer_fee"
DEPOSIT = "escrow.deposit"
SUCCESS = "sale.success"
SALES = ("sale.access", "use.transfer", SUCCESS)
_PAYING_ORDER = (col(Share.owner), col(Share.line_id), col(Share.role))
INVOICES: Final = PartyList(
    Invoice, col(Invoice.issued_at), sides=(col(Invoice.buyer_id), col(Invoice.issuer_id)), latest_first=True
)
_BY_LINE: Final = Order((col(Share.line_id), col(Share.role)), (col(Share.line_id), col(Share.role)))


class NoSuchInvoice(NotFound):
    """No such invoice."""


class Billable(NamedTuple):
    """A posted charge that is on no invoice; the names are those of an invoice line.

    price_fen: VAT included; entry_id, posting_entry_id: log entries of cause and posting.
    """

    meter_event: str
    transaction_id: str
    kind: str
    at: datetime
    agreement_id: str | None
    asset_id: str | None
    provider_id: str
    price_fen: int
    vat_fen: int
    entry_id: str
    posting_entry_id: str


def billable(db: Session, issuer: str, buyer: str, before: datetime, *, minimum_of: str = "") -> list[Billable]:
    """What a buyer was charged at an exchange up to a moment and no invoice holds, in order of happening.

    minimum_of: a month whose minimum charges count too, though they are made after its end.
    """
    happened = (col(MeterEvent.at), col(MeterEvent.id))
    return charges(db, _charged_to(issuer, buyer, before, minimum_of), happened)


def charges(
    db: Session, where: Sequence[ColumnElement[bool]], order: Sequence[Any], *, limit: int | None = None
) -> list[Billable]:
    """Posted charges, each with its event, its price and the tax in it."""
    posted, event = LedgerTransaction, MeterEvent
    vat = select(func.sum(Posting.amount_minor)).where(
        Posting.transaction_id == posted.id, Posting.account == "tax:vat"
    )
    levied = -func.coalesce(vat.scalar_subquery(), 0)
    price, payee = posted.quantity * col(posted.unit_price_minor), func.coalesce(event.payee_id, "")
    rows = (
        select(  # type: ignore[call-overload]
            *(event.id, posted.id, posted.kind, event.at, event.agreement_id, event.asset_id, payee),
            *(price, cast(levied, BigInteger), posted.entry_id, posted.posting_entry_id),
        )
        .join(event, col(event.id) == col(posted.meter_event))
        .where(*where)
        .order_by(*order)
        .limit(limit)
    )
    return [Billable(*one) for one in db.execute(rows.execution_options(yield_per=_PAGE))]


def any_billable(db: Session, issuer: str, buyer: str, before: datetime, *, minimum_of: str = "") -> bool:
    """Whether `billable` would find anything."""
    rows = select(LedgerTransaction.id).join(MeterEvent, col(MeterEvent.id) == col(LedgerTransaction.meter_event))
    return db.exec(rows.where(*_charged_to(issuer, buyer, before, minimum_of)).limit(1)).first() is not None


def to_bill(db: Session, before: datetime, *, minimum_of: str = "") -> list[tuple[str, str]]:
    """(exchange, buyer) wherever something that `billable` finds is on no invoice."""
    rows = (
        select(MeterEvent.venue_id, MeterEvent.payee_id, MeterEvent.kind, MeterEvent.payer_id)
        .join(LedgerTransaction, col(MeterEvent.id) == col(LedgerTransaction.meter_event))
        .where(*unbilled(), _until(before, minimum_of), col(LedgerTransaction.unit_price_minor) > 0)
        .distinct()
    )
    pairs = {((payee if kind == BUYER_FEE else venue), payer) for venue, payee, kind, payer in db.exec(rows)}
    return sorted((issuer, buyer) for issuer, buyer in pairs if issuer)


def _charged_to(issuer: str, buyer: str, before: datetime, minimum_of: str) -> tuple[ColumnElement[bool], ...]:
    amounts = (col(LedgerTransaction.unit_price_minor) > 0, col(LedgerTransaction.quantity) != 0)
    return (*unbilled(), *amounts, col(MeterEvent.payer_id) == buyer, _at(issuer), _until(before, minimum_of))


def _until(before: datetime, minimum_of: str) -> ColumnElement[bool]:
    minimum = col(MeterEvent.event_key).like(f"use.minimum:%:{minimum_of or '-'}")
    return or_(col(MeterEvent.at) < before, minimum)


def unbilled() -> tuple[ColumnElement[bool], ...]:
    """Posted charges that no invoice holds and nothing took back."""
    reversal = aliased(LedgerTransaction)
    lined = select(InvoiceLine.id).where(InvoiceLine.meter_event == LedgerTransaction.meter_event)
    taken_back = select(reversal.id).where(reversal.reverses == LedgerTransaction.id)
    return (
        col(LedgerTransaction.kind).in_((*SALES, DEPOSIT, BUYER_FEE)),
        # Said so, SQLite does not read all transactions over the index of reversals for every buyer, and PostgreSQL
        # knows that most are none; it takes length(), as in `costing.recheck`, for a rare case and reads them first.
        col(LedgerTransaction.reverses).is_(None).is_(true()),
        ~lined.exists(),
        ~taken_back.exists(),
    )


def _at(issuer: str) -> ColumnElement[bool]:
    fee = and_(col(MeterEvent.kind) == BUYER_FEE, col(MeterEvent.payee_id) == issuer)
    return or_(fee, and_(col(MeterEvent.kind) != BUYER_FEE, col(MeterEvent.venue_id) == issuer))


def standing(db: Session, line: InvoiceLine) -> str:
    """The posting of a line's event that stands now: another one than was billed where a tariff was corrected since."""
    found = books.standing(db, [line.meter_event]).get(line.meter_event)
    return found[0].id if found else line.transaction_id


def parts(db: Session, transaction_id: str) -> dict[str, int]:
    """The levies of a posted sale, fen: vat, surcharge, exchange_fee; zero where none was posted."""
    accounts = {"tax:vat": "vat", "tax:surcharge": "surcharge", "expense:exchange-fee": "exchange_fee"}
    rows = select(Posting.account, func.sum(Posting.amount_minor)).where(
        Posting.transaction_id == transaction_id, col(Posting.account).in_(accounts)
    )
    found = dict.fromkeys(accounts.values(), 0)
    for account, total in db.exec(rows.group_by(col(Posting.account))):
        found[accounts[account]] = abs(int(total))
    return found


def invoice(db: Session, invoice_id: str) -> Invoice:
    """One invoice: for workers and other rooms.  Raises NoSuchInvoice."""
    found = db.get(Invoice, invoice_id)
    if found is None:
        raise NoSuchInvoice("no invoice with this id", got=invoice_id)
    return found


def lock(db: Session, found: Invoice) -> None:
    """Read an invoice anew and hold it to the end of the transaction, not against rows that only name it.

    Whoever settles a result holds the agreement and owes a deposit of the invoice back.
    """
    db.refresh(found, with_for_update={"key_share": True})


def readable_invoice(db: Session, actor: Actor, invoice_id: str) -> Invoice:
    """An invoice of the caller as buyer or issuer; auditors read all.  Raises NoSuchInvoice."""
    found = invoice(db, invoice_id)
    if actor.participant not in {found.buyer_id, found.issuer_id} and not actor.has(Role.AUDITOR):
        raise NoSuchInvoice("no invoice with this id", got=invoice_id)
    return found


def issued_invoice(db: Session, actor: Actor, invoice_id: str) -> Invoice:
    """An invoice that the caller issued.  Raises NoSuchInvoice."""
    found = invoice(db, invoice_id)
    if found.issuer_id != actor.participant:
        raise NoSuchInvoice("no invoice with this id", got=invoice_id)
    return found


def invoices_of(db: Session, actor: Actor, *, cursor: str | None = None, limit: int = paging.MOST) -> Paged[Invoice]:
    """A page of the caller's invoices as buyer and as issuer, of all for auditors, the latest first.

    Raises NotOnThisList.
    """
    return INVOICES.page(db, actor, cursor, limit)


def by_number(db: Session, issuer: str, number: str) -> Invoice | None:
    """The invoice with a number, if the issuer has issued it."""
    return db.exec(select(Invoice).where(Invoice.issuer_id == issuer, Invoice.number == number)).first()


def lines(db: Session, invoice_id: str) -> Sequence[InvoiceLine]:
    """The lines of an invoice in order."""
    rows = select(InvoiceLine).where(InvoiceLine.invoice_id == invoice_id)
    return db.exec(rows.order_by(col(InvoiceLine.position))).all()


def holding_invoices(db: Session, agreement_ids: Collection[str]) -> Sequence[str]:
    """Invoices that lack money, for which any of these agreements is held suspended."""
    rows = (
        select(Invoice.id)
        .join(InvoiceLine, col(InvoiceLine.invoice_id) == col(Invoice.id))
        .where(col(InvoiceLine.agreement_id).in_(agreement_ids), col(InvoiceLine.credited_by).is_(None))
        .where(
            or_(col(Invoice.state) == "overdue", col(Invoice.bounced_fen) > 0), col(Invoice.suspended_at).is_not(None)
        )
    )
    return db.exec(rows.distinct()).all()


def credited_lines(db: Session, note_id: str) -> Sequence[InvoiceLine]:
    """The lines that a credit note took back, in order."""
    rows = select(InvoiceLine).where(InvoiceLine.credited_by == note_id)
    return db.exec(rows.order_by(col(InvoiceLine.position))).all()


def shares_of_line(db: Session, line_id: str) -> Sequence[Share]:
    """Who got what of a paid line."""
    return db.exec(select(Share).where(Share.line_id == line_id).order_by(col(Share.role))).all()


def hold_shares(db: Session, line_ids: Collection[str]) -> Sequence[Share]:
    """The shares of lines in order, read anew and held to the end of the transaction: nobody orders them meanwhile."""
    rows = select(Share).where(col(Share.line_id).in_(line_ids)).order_by(*_PAYING_ORDER).with_for_update()
    return db.exec(rows.execution_options(populate_existing=True)).all()


def shares_of(db: Session, actor: Actor, *, cursor: str | None = None, limit: int = paging.MOST) -> Paged[Share]:
    """A page of the shares of the caller's own sales, of those it issued, and those it gets; of all for auditors.

    In order of the lines.  Raises NotOnThisList.
    """
    return _BY_LINE.page(db, select(Share).where(*own_shares(actor)), cursor, limit)


def own_shares(actor: Actor) -> tuple[ColumnElement[bool], ...]:
    """Whose shares a caller may read: of its sales, of what it issued, those it gets; an auditor all."""
    if actor.has(Role.AUDITOR):
        return ()
    mine = (col(Share.provider_id), col(Share.issuer_id), col(Share.owner))
    return (or_(*(one == actor.participant for one in mine)),)


def unpaid_shares(db: Session, issuer: str) -> list[tuple[Share, BankAccount]]:
    """What an exchange owes to owners with a bank account and has not ordered, by owner; its own fees are not.

    Read anew and held to the end of the transaction: whoever orders or credits beside waits, and finds them ordered.
    """
    rows = (
        select(Share, BankAccount)
        .join(BankAccount, col(BankAccount.owner) == col(Share.owner))
        .where(Share.issuer_id == issuer, Share.owner != issuer, col(Share.order_id).is_(None), ~col(Share.void))
        .order_by(*_PAYING_ORDER)
        .with_for_update(of=Share)
        .execution_options(populate_existing=True)
    )
    return [(share, account) for share, account in db.exec(rows)]


def unrecovered(db: Session, asset_id: str) -> int:
    """Cost of an asset in the books, less what settlements have repaid, fen; not below zero."""
    cost = select(func.coalesce(func.sum(Posting.amount_minor), 0)).where(
        Posting.asset == asset_id, col(Posting.account).in_(chart().feeding("cost"))
    )
    # With the treasury route the repaid cost travels with the hospital's part; both count as repaid.
    repaid = select(func.coalesce(func.sum(Share.amount_fen), 0)).where(
        Share.asset_id == asset_id, col(Share.role).in_(("cost_recovery", "treasury_cost")), ~col(Share.void)
    )
    return max(int(db.exec(cost).one()) - int(db.exec(repaid).one()), 0)


def choice(db: Session, provider_id: str) -> SchemeChoice | None:
    """What a provider has chosen, None for the default."""
    return db.get(SchemeChoice, provider_id)
