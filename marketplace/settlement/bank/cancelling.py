"""A payment order that the bank does not carry out is cancelled; contested where the bank did so after all.

Nothing is posted: the books hear of a transfer when the bank confirms it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Conflict
from marketplace.kernel.transitions import WrongState
from marketplace.settlement.bank import queries
from marketplace.settlement.bank.camt import Credit
from marketplace.settlement.bank.queries import Due
from marketplace.settlement.models import Payable, PaymentOrder
from marketplace.settlement.rules import PAYMENT_ORDER, CancelReason, OrderState, Resolution

CONTESTED = "order_cancelled"
"""Outcome of a debit that carried out what was cancelled here."""


class OrderedAnew(Conflict):
    """Something that the order paid is in another order, paid, or owed no more."""


def cancel(db: Session, actor: Actor, found: PaymentOrder, reason: CancelReason, now: datetime) -> PaymentOrder:
    """Cancel what the bank has not carried out of a payment order: it is owed as before, for the next order.

    found: the caller's own.  Raises WrongState, NotYourStep.  Records: settlement:payments_cancelled.
    """
    _hold(db, found)
    dues = queries.unpaid_of(db, found.id)

    state = OrderState.PLACED if dues else OrderState.SETTLED  # a contested one is cancelled already
    step = PAYMENT_ORDER.step(OrderState.CANCELLED if found.cancelled_at else state, OrderState.CANCELLED, actor.roles)

    found.cancelled_at = now
    found.cancellation = _resolved(found) | {"reason": reason, "transfers": _by_transfer(dues), "contested": []}
    for one in dues:
        one.order_id = one.reference = None
    db.add_all([found, *dues])
    db.flush()

    record(db, actor, Tag(step.tag), now, facts=_facts(found, dues) | {"reason": str(reason)})
    return found


def resolve(db: Session, actor: Actor, found: PaymentOrder, decision: Resolution, now: datetime) -> PaymentOrder:
    """Say what became of a cancelled order that the bank carried out, or of one that was cancelled by mistake.

    `carried_out`: it is placed again with what it pays, and the bank's statement, handed in again, confirms it;
    `settled_outside`: it stays cancelled, what was paid is between payer and payee.
    found: the caller's own.  Raises WrongState, NotYourStep, OrderedAnew.  Records: settlement:payments_resolved.
    """
    _hold(db, found)
    told = found.cancellation or {}
    kept = [one for dues in told.get("transfers", {}).values() for one in dues]

    again = decision == Resolution.CARRIED_OUT
    step = PAYMENT_ORDER.step(_cancelled(found), OrderState.PLACED if again else OrderState.CANCELLED, actor.roles)
    dues = [_free(db, one) for one in kept] if again else []

    if again:
        _place_again(found, dues, told["transfers"])
        db.add_all(dues)
    else:
        found.cancellation = told | _resolved(found) | {"contested": []}
    db.add(found)
    db.flush()

    record(db, actor, Tag(step.tag), now, facts=_facts(found, dues) | {"decision": str(decision)})
    return found


def contested_by(db: Session, payer: str, names: Collection[str]) -> PaymentOrder | None:
    """The cancelled order that one of these ids of ours names, by itself or by a transfer that it no longer has."""
    for one in queries.cancelled_orders(db, payer, names):
        transfers = (one.cancellation or {}).get("transfers", {})
        if any(name in transfers or name == one.id[: queries.LONGEST_ID] for name in names):
            return one
    return None


def contest(db: Session, found: PaymentOrder, debit: Credit) -> None:
    """Note that the bank carried something of a cancelled order out; the caller records it."""
    told = found.cancellation or {}
    about = sorted(name for name in debit.names if name in told["transfers"])
    _note(db, found, [*told["contested"], [debit.reference, debit.amount_fen, *about]])


def uncontest(db: Session, found: PaymentOrder, back: Credit) -> None:
    """Note that what the bank had carried out of a cancelled order came back; the caller records it.

    Its debit confirms nothing any more, however the order was or is resolved: the one that the bank names, else the
    earliest of the same amount, of the same transfer first.
    """
    told = found.cancellation or {}
    debits = [*told.get("resolved", []), *told["contested"]]
    by_transfer = sorted(debits, key=lambda one: back.names.isdisjoint(one[2:]))
    for name in dict.fromkeys((back.original or "", *(str(one[0]) for one in by_transfer))):
        debit = queries.bank_entry(db, found.issuer_id, name)
        if debit is not None and (debit.outcome, debit.amount_fen) == (CONTESTED, back.amount_fen):
            debit.outcome = "reversed"
            db.add(debit)
            _note(db, found, [one for one in told["contested"] if one[0] != debit.reference])
            return


def _cancelled(found: PaymentOrder) -> OrderState:
    """How a cancelled order stands.  Raises WrongState of one that is not: there is nothing to resolve."""
    if found.cancelled_state is None:
        raise WrongState("this payment order is not cancelled", expected="a cancelled or contested order", got=found.id)
    return found.cancelled_state


def _resolved(found: PaymentOrder) -> Json:
    """The debits of which a person has spoken, with those that wait for it: what comes back may be one of them."""
    told = found.cancellation or {}
    debits = [*told.get("resolved", []), *told.get("contested", [])]
    return {"resolved": debits} if debits else {}


def _note(db: Session, found: PaymentOrder, contested: Sequence[object]) -> None:
    found.cancellation = (found.cancellation or {}) | {"contested": list(contested)}
    db.add(found)
    db.flush()


def _hold(db: Session, found: PaymentOrder) -> None:
    """Keep statements and other orders of the payer waiting, and read the order as it is."""
    queries.hold_bank(db, found.issuer_id)
    db.refresh(found, with_for_update=True)


def _free(db: Session, kept: Json) -> Due:
    """What a cancelled transfer paid, held, where it waits for an order as it did before that.  Raises OrderedAnew."""
    one = queries.due(db, kept["table"], kept["key"])
    if one is None or one.order_id is not None or one.paid_at is not None or getattr(one, "void", False):
        raise OrderedAnew(
            "what this order paid is ordered anew, paid, or owed no more",
            got=f"{kept['table']} {' '.join(str(part) for part in kept['key'])}",
            action="cancel the other order where its bank has not carried it out, or settle it with the payee",
        )
    if isinstance(one, Payable):
        one.amount_fen = kept["amount_fen"]
    return one


def _place_again(found: PaymentOrder, dues: Sequence[Due], transfers: Json) -> None:
    references = [name or None for name, kept in transfers.items() for _ in kept]
    for one, name in zip(dues, references, strict=True):
        one.order_id, one.reference = found.id, name
    found.cancelled_at, found.cancellation = None, _resolved(found) or None


def _by_transfer(dues: Sequence[Due]) -> Json:
    made: Json = {}
    for one in dues:
        kept = {"table": str(one.__tablename__), "key": queries.key_of(one), "amount_fen": one.amount_fen}
        made.setdefault(one.reference or "", []).append(kept)
    return made


def _facts(found: PaymentOrder, dues: Sequence[Due]) -> Json:
    amount = sum(one.amount_fen for one in dues)
    return {"order": found.id, "payer": found.issuer_id, "dues": len(dues), "amount_fen": amount}
