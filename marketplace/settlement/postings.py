"""The posting rules of payments, `contracts/accounts/settlement-rules-v1.json`, and drafts made by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict
from sqlmodel import Session

from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.ledger import queries as books
from marketplace.ledger import service as ledger
from marketplace.ledger.accounts import FOLDER, chart
from marketplace.ledger.rules import Dimensions, Draft, Line, ReversalReason, merged
from marketplace.settlement.models import InvoiceLine

Party = Literal["buyer", "provider", "venue", "beneficiary", "payer", "payee"]


@dataclass(frozen=True)
class Booking:
    """What a call brings into the books in its end: drafts, then the reversals of what these keys name.

    At once, not one by one: the books hold balances in one order for all writers of a call.
    """

    drafts: list[Draft] = field(default_factory=list)
    taken_back: list[str] = field(default_factory=list)

    def holds(self, db: Session, key: str) -> bool:
        """Whether a cause is in the books, or will be with this."""
        return any(one.event_key == key for one in self.drafts) or books.by_key(db, key) is not None

    def enter(self, db: Session, now: datetime) -> None:
        """Post it.  Records: ledger:posted for each transaction that is new."""
        ledger.post_all(db, SERVICE_ACTOR, self.drafts, now)
        posted = books.ids_by_key(db, self.taken_back)
        ledger.reverse_all(db, SERVICE_ACTOR, list(posted.values()), ReversalReason.CAUSE_CANCELLED, now)


class PaymentLine(BaseModel):
    """One debit and its equal credit in one party's sub-ledger."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    owner: Party
    debit: str
    credit: str
    amount: Literal["amount", "to_provider", "exchange_fee"]


class PaymentRule(BaseModel):
    """How one kind of payment enters the books."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    lines: tuple[PaymentLine, ...]


@cache
def payment_rules() -> dict[str, PaymentRule]:
    """Every rule by its kind.  Raises NoSuchAccount when one names an account that the chart lacks."""
    import json

    data = json.loads((FOLDER / "settlement-rules-v1.json").read_bytes())
    rules = [PaymentRule.model_validate(one) for one in data["rules"]]
    for rule in rules:
        for line in rule.lines:
            chart().account(line.debit)
            chart().account(line.credit)
    return {rule.kind: rule for rule in rules}


def payment_key(line: InvoiceLine, what: str) -> str:
    """The key under which a payment about a line enters the books."""
    return f"settlement:{line.id}:{what}"


def payment(
    kind: str,
    key: str,
    parties: Mapping[Party, str],
    amounts: Mapping[str, int],
    *,
    entry: str,
    at: datetime,
    about: Dimensions,
) -> Draft:
    """The draft of a payment by its rule; parts of zero leave no postings.

    key: names the cause, the books take it once; entry: log entry of the cause; amounts: fen.
    """
    lines: list[Line] = []
    for row in payment_rules()[kind].lines:
        amount = amounts[row.amount]
        if amount:
            owner = parties[row.owner]
            lines += [Line(row.debit, owner, amount, "CNY"), Line(row.credit, owner, -amount, "CNY")]
    return Draft(key, kind, at, kind, entry, merged(lines), dims=about)
