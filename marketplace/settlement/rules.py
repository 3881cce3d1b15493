"""Pure rules of settlement: the invoice machine, numbers, due dates."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from marketplace.audit.entry import Tag
from marketplace.kernel.clock import CHINA
from marketplace.kernel.errors import Conflict, Forbidden
from marketplace.kernel.transitions import Machine, step

DUE_WITHIN = timedelta(days=30)
"""As the clause on the price of the per-case contract says."""
GRACE = timedelta(days=14)
"""From the due date until an unpaid invoice suspends its agreements."""
PREFIX = {"invoice": "INV", "credit_note": "CN"}


class NotTheExchange(Forbidden):
    """Only the exchange operator does this."""


class NotTheBearer(Forbidden):
    """Only a provider bears the costs of stages and orders their payment."""


class RulingStands(Conflict):
    """The verifier has spoken again after a dispute, and that stands."""


class InvoiceState(StrEnum):
    """How far an invoice has come; a credit note begins and ends as `credited`."""

    ISSUED = "issued"
    OVERDUE = "overdue"
    PAID = "paid"
    CREDITED = "credited"


_I = InvoiceState

INVOICE = Machine(
    name="invoice",
    steps=(
        step(_I.ISSUED, _I.OVERDUE, "service", Tag.INVOICE_OVERDUE),
        step(_I.ISSUED, _I.PAID, "exchange_operator", Tag.INVOICE_PAID),
        step(_I.OVERDUE, _I.PAID, "exchange_operator", Tag.INVOICE_PAID),
        *(step(source, _I.CREDITED, "exchange_operator", Tag.INVOICE_CREDITED) for source in (_I.ISSUED, _I.OVERDUE)),
        step(_I.PAID, _I.CREDITED, "exchange_operator", Tag.INVOICE_CREDITED),
    ),
)


class OutcomeState(StrEnum):
    """How far a result has come; before a verifier has spoken there is no row."""

    AWAITED = "awaited"
    DECLARED = "declared"
    DISPUTED = "disputed"
    SETTLED = "settled"


_O = OutcomeState
DISPUTE_WITHIN = timedelta(days=14)

OUTCOME = Machine(
    name="outcome",
    steps=(
        step(_O.AWAITED, _O.DECLARED, "verifier", Tag.OUTCOME_DECLARED),
        step(_O.DECLARED, _O.DISPUTED, "buyer provider", Tag.OUTCOME_DISPUTED),
        step(_O.DISPUTED, _O.DECLARED, "verifier", Tag.OUTCOME_DECLARED),
        step(_O.DECLARED, _O.SETTLED, "service", Tag.OUTCOME_SETTLED),
    ),
)


class OrderState(StrEnum):
    """How far a payment order has come; `settled` when nothing of it waits for the bank any more."""

    PLACED = "placed"
    SETTLED = "settled"
    CANCELLED = "cancelled"
    CONTESTED = "contested"


class CancelReason(StrEnum):
    """Why a payment order is cancelled; codes, because entries hold no free text."""

    NOT_CARRIED_OUT = "not_carried_out"
    REFUSED_BY_BANK = "refused_by_bank"
    WRONG_ACCOUNT = "wrong_account"
    ORDERED_BY_MISTAKE = "ordered_by_mistake"


class Resolution(StrEnum):
    """What a person says of a cancelled order that the bank carried out."""

    CARRIED_OUT = "carried_out"
    SETTLED_OUTSIDE = "settled_outside"


_P = OrderState
_PAYER = "exchange_operator provider"

PAYMENT_ORDER = Machine(
    name="payment order",
    steps=(
        step(_P.PLACED, _P.SETTLED, _PAYER, Tag.BANK_ENTRY_TAKEN),
        step(_P.PLACED, _P.CANCELLED, _PAYER, Tag.PAYMENTS_CANCELLED),
        step(_P.CANCELLED, _P.PLACED, _PAYER, Tag.PAYMENTS_RESOLVED),
        step(_P.CANCELLED, _P.CONTESTED, _PAYER, Tag.BANK_ENTRY_TAKEN),
        step(_P.CONTESTED, _P.PLACED, _PAYER, Tag.PAYMENTS_RESOLVED),
        step(_P.CONTESTED, _P.CANCELLED, _PAYER, Tag.PAYMENTS_RESOLVED),
    ),
)


def number_of(kind: str, year: int, place: int) -> str:
    """`INV-2026-000001`."""
    return f"{PREFIX[kind]}-{year}-{place:06d}"


def year_of(moment: datetime) -> int:
    """The year of China's calendar in which a document is numbered."""
    return moment.astimezone(CHINA).year


def follows(state: InvoiceState, due_at: datetime, now: datetime) -> InvoiceState:
    """The state that the clock alone brings about."""
    return InvoiceState.OVERDUE if state == InvoiceState.ISSUED and now >= due_at else state
