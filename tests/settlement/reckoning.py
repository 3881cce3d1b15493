"""What a test reckons of an invoice by itself: from its prices, the money that moved and the clock, from no column."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from marketplace.audit.entry import Tag
from marketplace.settlement import queries
from marketplace.settlement.models import Invoice, InvoiceLine

GRACE = timedelta(days=14)


@dataclass(eq=False)
class Payment:
    """Money of the buyer.  reference: of the bank's line, None until a statement told what was entered by hand."""

    fen: int
    reference: str | None


@dataclass(eq=False)
class Owed:
    """A refund.  of: the payment that was too much; state: `owed`, `ordered`, `paid`."""

    fen: int
    of: Payment | None = None
    state: str = "owed"


@dataclass(eq=False)
class Bill:
    """An invoice.  closed: once it asked for nothing any more; recalled_at: when money was missing first after that."""

    invoice: Invoice
    lines: dict[int, InvoiceLine]
    payments: list[Payment] = field(default_factory=list)
    refunds: list[Owed] = field(default_factory=list)
    credited: set[int] = field(default_factory=set)
    closed: bool = False
    overdue: bool = False
    holds: bool = False
    recalled_at: datetime | None = None

    @property
    def standing(self) -> list[InvoiceLine]:
        """Lines that no credit note took back."""
        return [one for place, one in self.lines.items() if place not in self.credited]

    @property
    def sold(self) -> list[InvoiceLine]:
        """Those of them that are divided into shares once they are paid."""
        return [one for one in self.standing if one.kind != queries.BUYER_FEE]

    @property
    def agreements(self) -> set[str]:
        return {str(one.agreement_id) for one in self.standing}

    @property
    def asked(self) -> int:
        """Price of what is not credited, fen."""
        return sum(one.price_fen for one in self.standing)

    @property
    def came(self) -> int:
        """What the buyer paid and the bank did not take back, fen."""
        return sum(one.fen for one in self.payments)

    @property
    def kept(self) -> int:
        """What of it the bank has not carried back, fen."""
        return self.came - sum(one.fen for one in self.refunds if one.state == "paid")

    @property
    def due(self) -> int:
        """What is owed back to the buyer, fen."""
        return sum(one.fen for one in self.refunds if one.state != "paid")

    @property
    def lacks(self) -> int:
        """What the buyer owes beside that, fen."""
        return self.asked - self.kept + self.due

    @property
    def state(self) -> str:
        if not self.asked:
            return "credited"
        return "paid" if self.closed else "overdue" if self.overdue else "issued"

    def pay(self, payment: Payment) -> list[Tag]:
        """Money comes in; returns the entries that tell it, beside that of the bank's line."""
        too_much, told = payment.fen - self.lacks, [Tag.INVOICE_PART_PAID]
        if not self.closed and too_much >= 0:
            told = self._close()
        self.payments.append(payment)
        return told + self._owe(too_much, payment)

    def take_back(self, payment: Payment, now: datetime) -> None:
        """The bank takes a payment back: owed back no longer is what is not ordered, and not more than that."""
        left = payment.fen
        self.payments.remove(payment)
        for one in sorted(self.refunds, key=lambda one: one.of is not payment):
            if one.state == "owed" and one.fen <= left:
                left -= one.fen
                self.refunds.remove(one)
        if self.closed and left:
            self.recalled_at = self.recalled_at or now

    def credit(self, places: set[int]) -> list[Tag]:
        """Lines are taken back: what was paid for them is owed back, less what is missing of it."""
        missing, asked, told = self.lacks, self.asked, list[Tag]()
        self.credited |= places
        if self.closed:
            too_much = asked - self.asked - missing
        else:
            too_much = self.kept - self.asked
            told = self._close() if self.asked and self.kept and too_much >= 0 else []
            self.closed = self.closed or not self.asked
        return [Tag.INVOICE_CREDITED, *told, *self._owe(too_much, None)]

    def pass_time(self, now: datetime) -> list[Tag]:
        """What the clock brings about: overdue once, held 14 days after that or after the first recall."""
        told = list[Tag]()
        if not self.closed and not self.overdue and now >= self.invoice.due_at:
            self.overdue, told = True, [Tag.INVOICE_OVERDUE]
        since = max(self.invoice.due_at, self.recalled_at or self.invoice.due_at)
        held = self.lacks > 0 and now >= since + GRACE
        told += [Tag.INVOICE_OVERDUE] if held and not self.holds else []
        self.holds = held
        return told

    def _close(self) -> list[Tag]:
        self.closed = True
        return [Tag.INVOICE_PAID, *(Tag.SHARES_SETTLED for _ in self.sold)]

    def _owe(self, fen: int, of: Payment | None) -> list[Tag]:
        self.refunds += [Owed(fen, of)] if fen > 0 else []
        return [Tag.REFUND_OWED] if fen > 0 else []
