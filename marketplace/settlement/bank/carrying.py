"""What the bank says of transfers that a payment order asked for: they were carried out, or they came back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel import Session

from marketplace.kernel.actor import Actor
from marketplace.settlement import payouts, refunding
from marketplace.settlement.bank import queries
from marketplace.settlement.bank.queries import Due
from marketplace.settlement.models import Payable, Refund, Share
from marketplace.settlement.payables import service as payables
from marketplace.settlement.postings import Booking


@dataclass(frozen=True)
class Carried:
    """What the transfers of one debit or return pay, held by this transaction; nothing where they are not ours."""

    refunds: list[Refund] = field(default_factory=list)
    shares: list[Share] = field(default_factory=list)
    payables: list[Payable] = field(default_factory=list)

    @classmethod
    def of(cls, dues: Sequence[Due]) -> Carried:
        return cls(
            refunds=[one for one in dues if isinstance(one, Refund)],
            shares=[one for one in dues if isinstance(one, Share)],
            payables=[one for one in dues if isinstance(one, Payable)],
        )

    def __bool__(self) -> bool:
        return bool(self.refunds or self.shares or self.payables)

    @property
    def invoice(self) -> str | None:
        """The invoice that one refund alone is about."""
        alone = len(self.refunds) == 1 and not (self.shares or self.payables)
        return self.refunds[0].invoice_id if alone else None

    @property
    def outcome(self) -> str:
        """`refunded` where buyers alone were paid, else `paid_out`."""
        return "paid_out" if self.shares or self.payables else "refunded"


def told_by_bank(db: Session, payer: str, names: Collection[str], amount_fen: int) -> Carried:
    """What an amount of the bank is about: one transfer, several booked as one sum, or a whole payment order.

    names: ids of ours that the bank repeats, of transfers or of the order.
    """
    by_reference = defaultdict[str | None, list[Due]](list)
    for one in queries.ordered_as(db, payer, names):
        by_reference[one.reference].append(one)
    sums = {name: sum(one.amount_fen for one in dues) for name, dues in by_reference.items()}

    fits = [name for name, total in sums.items() if total == amount_fen]
    if len(fits) == 1:
        return Carried.of(by_reference[fits[0]])
    if sums and sum(sums.values()) == amount_fen:
        return Carried.of([one for dues in by_reference.values() for one in dues])
    whole = queries.references_of_orders(db, payer, names, amount_fen)
    return Carried.of(queries.ordered_as(db, payer, whole)) if whole else Carried()


def confirm(db: Session, actor: Actor, carried: Carried, bank_reference: str, booking: Booking, now: datetime) -> None:
    """Note that the bank has carried transfers out; again changes nothing.

    bank_reference: as `name_of_reference` gives it; booking: gets what the caller enters into the books.
    Records: settlement:refund_paid, settlement:shares_paid, settlement:payable_paid.
    """
    refunding.confirm(db, actor, carried.refunds, bank_reference, booking, now)
    payouts.confirm(db, actor, carried.shares, bank_reference, booking, now)
    payables.confirm(db, actor, carried.payables, bank_reference, booking, now)


def owe_again(
    db: Session, actor: Actor, carried: Carried, bank_reference: str, booking: Booking, now: datetime
) -> None:
    """Note that transfers came back: what they pay is owed as before, the payees are told, the next order has it.

    bank_reference: as `name_of_reference` gives it; booking: gets what the caller enters into the books.
    Records: settlement:refund_owed, settlement:shares_owed, settlement:payable_owed.
    """
    refunding.owe_again(db, actor, carried.refunds, bank_reference, booking, now)
    payouts.owe_again(db, actor, carried.shares, bank_reference, booking, now)
    payables.owe_again(db, actor, carried.payables, bank_reference, booking, now)
