"""A credit note: lines of an invoice are taken back, in the books by reversal; what was paid for them is owed back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag
from marketplace.costing import queries as events
from marketplace.kernel.actor import SERVICE_ACTOR, Actor
from marketplace.kernel.errors import Conflict
from marketplace.kernel.ids import new_id
from marketplace.ledger import queries as books
from marketplace.ledger import service as ledger
from marketplace.ledger.rules import Dimensions, Draft, ReversalReason
from marketplace.negotiation import queries as negotiation
from marketplace.participants import queries as participants
from marketplace.settlement import queries
from marketplace.settlement.bank.queries import hold_bank
from marketplace.settlement.billing import keep_document, next_number, record_invoice
from marketplace.settlement.chasing import let_go
from marketplace.settlement.deposits import return_deposit, returned
from marketplace.settlement.document import invoice_document
from marketplace.settlement.locks import hold_settled
from marketplace.settlement.models import Invoice, InvoiceLine
from marketplace.settlement.paying import cover
from marketplace.settlement.payouts import returned_key
from marketplace.settlement.postings import Booking, payment, payment_key
from marketplace.settlement.refunding import owe
from marketplace.settlement.rules import INVOICE, InvoiceState


class NothingToCredit(Conflict):
    """Every line that was asked for is credited already, or is not on this invoice."""


class DepositReturned(Conflict):
    """The deposit went back to the buyer already."""


class SharesPaidOut(Conflict):
    """A share of the line has gone to the bank."""


def credit(
    db: Session, actor: Actor, found: Invoice, positions: Collection[int], reason: ReversalReason, now: datetime
) -> Invoice:
    """Take lines of an invoice back, all when none are named; returns the credit note.

    In the books the charge, its payment and its shares are reversed; what was paid for it is owed back, save what the
    bank took back meanwhile, and with the price of a result the deposit that secured it.
    Raises NothingToCredit, SharesPaidOut, DepositReturned, WrongState, NotYourStep.
    Records: settlement:invoice_credited, ledger:posted, settlement:refund_owed, and what closing by parts records.
    """
    hold_bank(db, found.issuer_id)  # a statement holds agreements of several invoices
    queries.lock(db, found)
    every = queries.lines(db, found.id)
    wanted = [one for one in every if not positions or one.position in positions]
    lines = [one for one in wanted if one.credited_by is None]

    if not lines:
        raise NothingToCredit("nothing is left to credit", expected="an uncredited line", got=f"{sorted(positions)}")
    step = INVOICE.step(InvoiceState(found.state), InvoiceState.CREDITED, actor.roles)
    hold_settled(db, [found.id])  # what is left may be covered by parts, and is settled then
    _require_not_paid_out(db, lines)
    _require_not_returned(db, lines)

    note = _note(db, found, lines, reason, now)
    whole = found.credited_fen + note.total_fen == found.total_fen
    found.credited_fen += note.total_fen
    found.state = step.target if whole else found.state
    db.add(found)
    db.flush()

    entry = record_invoice(db, actor, Tag(step.tag), note, now, {"credits": found.id, "reason": str(reason)})
    back = _take_back(db, found, lines, reason, entry, now)
    if back:
        owe(db, found, "credit_note", f"refund:{note.id}", back, now)
    booking = Booking()
    _return_deposits(db, lines, entry, booking, now)
    cover(db, actor, found, entry, booking, now)
    booking.enter(db, now)
    let_go(db, lines if found.bounced_fen else every, now)
    return note


def _require_not_paid_out(db: Session, lines: Sequence[InvoiceLine]) -> None:
    held = queries.hold_shares(db, [line.id for line in lines])
    for line in lines:
        ordered = [one.owner for one in held if one.order_id and one.line_id == line.id]
        if ordered:
            raise SharesPaidOut(
                "shares of this line have gone to the bank",
                expected="a line whose shares are not ordered",
                got=f"line {line.position}: {', '.join(ordered)}",
                action="settle it with the provider outside, or charge it less next month",
            )


def _require_not_returned(db: Session, lines: Sequence[InvoiceLine]) -> None:
    back = [one.position for one in lines if returned(db, one)]
    if back:
        raise DepositReturned(
            "the deposit of this line went back to the buyer",
            expected="lines without a returned deposit",
            got=f"line {back[0]}",
            action="name the other lines",
        )


def _return_deposits(db: Session, lines: Sequence[InvoiceLine], entry: str, booking: Booking, now: datetime) -> None:
    """Owe back the deposits that secured prices which are not asked for any more."""
    for line in lines:
        if line.kind == queries.SUCCESS and line.agreement_id is not None:
            return_deposit(db, negotiation.agreement(db, line.agreement_id), entry, booking, now)


def _note(db: Session, found: Invoice, lines: Sequence[InvoiceLine], reason: ReversalReason, now: datetime) -> Invoice:
    note = Invoice(
        id=new_id("inv"),
        number=next_number(db, found.issuer_id, "credit_note", now),
        kind="credit_note",
        issuer_id=found.issuer_id,
        buyer_id=found.buyer_id,
        currency=found.currency,
        period=found.period,
        state=InvoiceState.CREDITED,
        document="",
        total_fen=sum(one.price_fen for one in lines),
        vat_fen=sum(one.vat_fen for one in lines),
        credits=found.id,
        issued_at=now,
        due_at=now,
    )
    db.add(note)
    db.flush()
    for line in lines:
        line.credited_by = note.id
        db.add(line)
    issuer, buyer = (participants.participant(db, one) for one in (note.issuer_id, note.buyer_id))
    document = invoice_document(note, issuer, buyer, lines, credited=found.number, reason=str(reason))
    keep_document(db, note, document, now)
    return note


def _take_back(
    db: Session, found: Invoice, lines: Sequence[InvoiceLine], reason: ReversalReason, entry: str, now: datetime
) -> int:
    """Reverse at once what lines have brought into the books; returns the fen that are owed back for them.

    What of it the bank took back is no longer missing.
    """
    keys = list[str]()
    for line in lines:
        for share in queries.shares_of_line(db, line.id):
            if (returned := returned_key(share)) is not None:
                keys.append(returned)
            share.void, share.returned_as = True, None
            db.add(share)
            keys.append(payment_key(line, share.role))
        keys += [payment_key(line, what) for what in ("sale", "fee")]
    db.flush()

    posted = books.ids_by_key(db, keys)
    events.hold(db, [line.meter_event for line in lines])  # a tariff may be corrected at this moment
    charges = [queries.standing(db, line) for line in lines]
    ledger.reverse_all(db, SERVICE_ACTOR, [*(posted[key] for key in keys if key in posted), *charges], reason, now)
    settled = books.ids_by_key(db, [payment_key(line, "paid") for line in lines])
    owed = _owed(found, [line for line in lines if payment_key(line, "paid") in settled])
    ledger.post_all(db, SERVICE_ACTOR, [_refund(found, line, fen, entry, now) for line, fen in owed], now)
    return sum(fen for _, fen in owed)


def _owed(found: Invoice, paid: Sequence[InvoiceLine]) -> list[tuple[InvoiceLine, int]]:
    """What is owed back for each paid line; of what the bank took back the invoice asks for so much less instead."""
    owed = list[tuple[InvoiceLine, int]]()
    for line in paid:
        gone = min(line.price_fen, found.bounced_fen)
        found.bounced_fen -= gone
        if line.price_fen > gone:
            owed.append((line, line.price_fen - gone))
    return owed


def _refund(found: Invoice, line: InvoiceLine, fen: int, entry: str, now: datetime) -> Draft:
    parties = {"buyer": found.buyer_id, "venue": found.issuer_id}
    about = Dimensions(asset=line.asset_id, agreement=line.agreement_id)
    key, amounts = payment_key(line, "refunded"), {"amount": fen}
    return payment("invoice.refund", key, parties, amounts, entry=entry, at=now, about=about)  # type: ignore[arg-type]
