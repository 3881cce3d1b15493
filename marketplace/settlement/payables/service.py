"""The verbs of payables: order them from the bank, say that one was paid, confirm, owe again what came back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import groupby

from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.canonical import Json
from marketplace.kernel.ids import new_id
from marketplace.ledger.rules import Dimensions, Draft
from marketplace.settlement.bank import orders
from marketplace.settlement.bank.orders import NothingToPay, PaymentProvider, Transfer
from marketplace.settlement.bank.queries import bank_account, hold_bank
from marketplace.settlement.models import BankAccount, Payable, PaymentOrder
from marketplace.settlement.payables import queries
from marketplace.settlement.payables.queries import NoSuchPayable
from marketplace.settlement.paying import name_of_reference
from marketplace.settlement.postings import Booking, payment
from marketplace.settlement.returning import Returned, tell
from marketplace.settlement.rules import NotTheBearer


def order_payables(
    db: Session, actor: Actor, events: Collection[str], now: datetime, *, provider: PaymentProvider | None = None
) -> PaymentOrder:
    """Order what the calling provider owes for stages: one transfer to each payee, each cost in one order at most.

    events: meter events of what to order, none = everything whose payee has a bank account.  Amounts are those of the
    books now, less what the same payee owes back; one that is owed no more than that waits for the next order.
    provider: who carries them out, None = the bank's file.
    Raises NotTheBearer, NoOwnAccount, NoSuchPayable, NothingToPay.  Records: settlement:payments_ordered.
    """
    if not actor.has(Role.PROVIDER):
        raise NotTheBearer("ordering payment for stages needs the role provider", got=", ".join(sorted(actor.roles)))
    hold_bank(db, actor.participant)
    debtor, waiting = orders.own_account(db, actor), queries.owed_by(db, actor.participant)

    _require_owed(events, waiting)
    wanted = [one for one in waiting if not events or one.meter_event in events or one.amount_fen < 0]
    accounts = {name: bank_account(db, name) for name in {one.payee_id for one in wanted}}
    due = _after_credits(one for one in wanted if accounts[one.payee_id])
    if not due:
        raise NothingToPay(
            "nothing is owed to a payee with a bank account beyond what it owes back", expected="GET /v1/payables"
        )

    order_id = new_id("pay")
    transfers = _transfers(order_id, due, accounts)
    made = orders.place(db, actor, order_id, debtor, transfers, provider, now)
    to_payee = {one.to.owner: one.reference for one in transfers}
    for one in due:
        one.order_id, one.reference = made.id, to_payee[one.payee_id]
        db.merge(one)
    db.flush()

    orders.record_order(db, actor, made, now)
    return made


def pay_by_hand(db: Session, actor: Actor, event_id: str, reference: str, now: datetime, *, part: int = 0) -> Payable:
    """Say that the calling provider has paid for a stage, ordered here or not; what is paid already stays as it is.

    part: of what is owed for it, one below zero was got back.  reference: the bank's own.
    Raises NoSuchPayable.  Records: settlement:payable_paid, ledger:posted.
    """
    hold_bank(db, actor.participant)
    found = queries.payable(db, actor, event_id, part)
    waiting = {(one.meter_event, one.part): one for one in queries.owed_by(db, actor.participant)}

    if found is not None and found.state != "owed":
        held = found
    elif (event_id, part) in waiting:
        held = db.merge(waiting[event_id, part])
    else:
        raise NoSuchPayable("you owe nothing under this id", got=event_id, action="GET /v1/payables")

    booking = Booking()
    confirm(db, actor, [held], name_of_reference(reference), booking, now)
    booking.enter(db, now)
    return held


def confirm(
    db: Session, actor: Actor, payables: Sequence[Payable], bank_reference: str, booking: Booking, now: datetime
) -> None:
    """Note that payables are paid; one that is paid already stays as it is.

    bank_reference: as `name_of_reference` gives it; booking: gets what the caller enters into the books.
    Records: settlement:payable_paid.
    """
    fresh = [one for one in payables if one.paid_at is None]
    for one in fresh:
        one.paid_at, one.payments = now, one.payments + 1
        db.add(one)
    db.flush()
    booking.drafts.extend(_paid(db, actor, one, bank_reference, now) for one in fresh)


def _paid(db: Session, actor: Actor, one: Payable, bank_reference: str, now: datetime) -> Draft:
    facts = _facts(one) | {"bank": bank_reference}
    entry = record(db, actor, Tag.PAYABLE_PAID, now, asset=one.asset_id, facts=facts)
    parties, amounts = {"payer": one.payer_id, "payee": one.payee_id}, {"amount": abs(one.amount_fen)}
    about, kind = Dimensions(asset=one.asset_id), "cost.paid" if one.amount_fen > 0 else "cost.offset"
    return payment(kind, _paid_key(one), parties, amounts, entry=entry, at=now, about=about)  # type: ignore[arg-type]


def owe_again(
    db: Session, actor: Actor, payables: Sequence[Payable], bank_reference: str, booking: Booking, now: datetime
) -> None:
    """Note that transfers came back: what they paid is owed as before, its payee told, and the next order has it.

    bank_reference: as `name_of_reference` gives it; booking: gets what the caller enters into the books.
    Records: settlement:payable_owed.
    """
    by_transfer = sorted((one for one in payables if one.reference is not None), key=lambda one: str(one.reference))
    booking.taken_back.extend(_paid_key(one) for one in by_transfer if one.paid_at is not None)
    for name, group in groupby(by_transfer, lambda one: str(one.reference)):
        own = list(group)
        back = Returned(
            "cost", own[0].payer_id, own[0].payee_id, sum(one.amount_fen for one in own), own[0].order_id, name
        )
        entries = [_owe_again(db, actor, one, bank_reference, now) for one in own]
        tell(db, back, entries[0], now)


def _owe_again(db: Session, actor: Actor, one: Payable, bank_reference: str, now: datetime) -> str:
    one.order_id = one.reference = one.paid_at = None
    db.add(one)
    db.flush()
    facts = _facts(one) | {"returned": bank_reference}
    return record(db, actor, Tag.PAYABLE_OWED, now, asset=one.asset_id, facts=facts)


def _after_credits(waiting: Iterable[Payable]) -> list[Payable]:
    """What is owed to payees that are owed more than they owe back, by payee."""
    ordered = sorted(waiting, key=lambda one: (one.payee_id, one.meter_event, one.part))
    by_payee = [list(group) for _, group in groupby(ordered, lambda one: one.payee_id)]
    return [one for own in by_payee if sum(one.amount_fen for one in own) > 0 for one in own]


def _require_owed(events: Collection[str], waiting: Sequence[Payable]) -> None:
    strange = sorted(set(events) - {one.meter_event for one in waiting})
    if strange:
        raise NoSuchPayable(
            "you owe nothing under this id, or have ordered it before", got=strange[0], action="GET /v1/payables"
        )


def _transfers(order_id: str, due: Sequence[Payable], accounts: dict[str, BankAccount | None]) -> list[Transfer]:
    made = list[Transfer]()
    for payee, group in groupby(due, lambda one: one.payee_id):
        own, account = list(group), accounts[payee]
        assert account is not None
        total, name = sum(one.amount_fen for one in own), orders.reference(order_id, len(made) + 1)
        made.append(Transfer(name, account, total, f"stages of data assets, {len(own)} items"))
    return made


def _paid_key(one: Payable) -> str:
    about = f"{one.meter_event}:{one.part}" if one.part else one.meter_event
    return f"settlement:{about}:paid:{one.payments}"  # a transfer that came back is followed by another one


def _facts(one: Payable) -> Json:
    return {
        "event": one.meter_event,
        "part": one.part,
        "kind": one.kind,
        "payer": one.payer_id,
        "payee": one.payee_id,
        "order": one.order_id,
        "amount_fen": one.amount_fen,
    }
